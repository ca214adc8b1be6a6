package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrTopicReplaced: the topic is not the one that the snapshot was read from, or it lost records. The snapshot is
// kept and never fresh again; a restart reads the topic that is there now.
var ErrTopicReplaced = errors.New("the webhooks topic was recreated or truncated: restart the relay to read it anew")

// errTimedOut is the cause of a wait that this package bounded itself.
var errTimedOut = errors.New("timed out")

// keepFresh asks for the end of the topic again and again and confirms the snapshot once it is applied up to there.
// It ends with ctx.
func (r *Registry) keepFresh(ctx context.Context) error {
	failing := limitedLog{log: r.log}
	for {
		round, cancel := context.WithTimeoutCause(ctx, r.opts.FreshFor, errTimedOut)
		err := r.confirmOnce(round)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrTopicReplaced):
			r.stopApplying(err)
		case err != nil:
			failing.warn("registry_not_confirmed", "err", err, "applied", r.applied.get(),
				"hint", "intake pauses when the webhooks cannot be confirmed: check that Kafka is reachable")
		default:
			failing.recovered("registry_confirmed_again", "applied", r.applied.get())
		}
		if !sleep(ctx, r.timing.confirmEvery) {
			return ctx.Err()
		}
	}
}

// confirmOnce is one round: ask, wait, and if nothing arrives for a while make the end visible with a barrier. The
// last offsets of a compacted topic may hold no record any more, so that no reader ever gets to see them.
func (r *Registry) confirmOnce(ctx context.Context) error {
	asked := time.Now()
	end, err := r.askEnd(ctx)
	if err != nil {
		return err
	}
	for {
		before := r.applied.get()
		patience, cancel := context.WithTimeoutCause(ctx, r.timing.barrierAfter, errTimedOut)
		err := r.applied.wait(patience, end)
		cancel()
		if err == nil {
			r.confirm(end, asked)
			r.cache.confirm(end, asked)
			return nil
		}
		if ctx.Err() != nil || patience.Err() == nil {
			return fmt.Errorf("wait until offset %d is applied: %w", end, err)
		}
		if r.applied.get() == before {
			if _, err := r.writeBarrier(ctx); err != nil {
				return err
			}
		}
	}
}

// Confirm asks Kafka for the end of the topic and waits until everything below it is applied, so that what other
// processes wrote before the call is seen after it.
func (r *Registry) Confirm(ctx context.Context) error {
	select {
	case <-r.connected:
	case <-ctx.Done():
		return fmt.Errorf("confirm the webhooks: not running yet: %w", context.Cause(ctx))
	}
	asked := time.Now()
	end, err := r.askEnd(ctx)
	if err != nil {
		return fmt.Errorf("confirm the webhooks: %w", err)
	}
	if err := r.WaitApplied(ctx, end); err != nil {
		return fmt.Errorf("confirm the webhooks: %w", err)
	}
	r.confirm(end, asked)
	return nil
}

// askEnd asks Kafka for the offset behind the last committed record. It refuses an answer about another topic than
// the snapshot's: the offset is asked first and the topic's id second, and ids never come back, so the same id means
// that the offset was the snapshot's topic's.
func (r *Registry) askEnd(ctx context.Context) (int64, error) {
	if err := r.applied.failure(); err != nil {
		return 0, err
	}
	applied := r.applied.get()
	end, err := r.listOffset(ctx, r.admin.ListCommittedOffsets)
	if err != nil {
		return 0, fmt.Errorf("ask for the end of %s: %w", r.topic, err)
	}
	id, err := r.askTopicID(ctx)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	known := r.topicID
	r.end = max(r.end, end)
	r.mu.Unlock()
	if known != (kadm.TopicID{}) && (id != known || end < applied) {
		return 0, fmt.Errorf("%w: applied %d, its end is %d", ErrTopicReplaced, applied, end)
	}
	return end, nil
}

// listOffset asks with one of kadm's List…Offsets for the topic's one partition.
func (r *Registry) listOffset(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error)) (int64, error) {
	offsets, err := list(ctx, r.topic)
	if err != nil {
		return 0, err
	}
	o, ok := offsets.Lookup(r.topic, 0)
	switch {
	case !ok:
		return 0, errNoTopic
	case o.Err != nil:
		return 0, o.Err
	default:
		return o.Offset, nil
	}
}

var (
	errNoTopic    = errors.New("the topic is not there: create it with relay topics apply")
	errPartitions = errors.New("the topic must have one partition, which orders all writes")
)

// askTopicID asks a broker. Not kadm: it answers from metadata that may be seconds old, and then the order of the
// questions would prove nothing.
func (r *Registry) askTopicID(ctx context.Context) (kadm.TopicID, error) {
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(r.topic)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, r.client)
	if err == nil && len(resp.Topics) != 1 {
		err = errNoTopic
	}
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		err = errNoTopic
	case err == nil && len(resp.Topics[0].Partitions) != 1:
		err = fmt.Errorf("%w, not %d: recreate it with relay topics apply", errPartitions, len(resp.Topics[0].Partitions))
	}
	if err != nil {
		return kadm.TopicID{}, fmt.Errorf("ask for the id of %s: %w", r.topic, err)
	}
	return resp.Topics[0].TopicID, nil
}

// writeBarrier writes a record that everybody ignores and returns its offset. It is a tombstone, so that compaction
// removes it, and outside of any transaction, so that it needs no fencing: it says nothing.
func (r *Registry) writeBarrier(ctx context.Context) (int64, error) {
	key := recordKey{kind: kindBarrier, uid: r.instance}
	rec := &kgo.Record{Topic: r.topic, Partition: 0, Key: []byte(key.String())}
	if err := r.client.ProduceSync(ctx, rec).FirstErr(); err != nil {
		return 0, fmt.Errorf("write a barrier to %s: %w", r.topic, err)
	}
	r.metrics.barriers.Inc()
	return rec.Offset, nil
}

// stopApplying ends the tail for good: waits fail, the snapshot stays and is never fresh again.
func (r *Registry) stopApplying(err error) {
	if r.applied.failure() == nil {
		r.log.Error("registry_stopped", "err", err, "applied", r.applied.get(),
			"hint", "nothing is read from Kafka until the relay is restarted")
	}
	r.fail(err)
}

// fail ends the waits for what will not be applied any more.
func (r *Registry) fail(err error) {
	r.applied.fail(err)
	r.mu.Lock()
	r.settle()
	r.mu.Unlock()
}

// sleep waits for d and reports whether it did so to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
