package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (g *Group) onAssigned(ctx context.Context, client *kgo.Client, assigned map[string][]int32) {
	ids := g.lookUpTopicIDs(ctx, client, assigned)
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic, nums := range assigned {
		for _, num := range nums {
			p := partition{topic, num}
			delete(g.halted, p)
			delete(g.refused, p)
			actx, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // the callback's context ends with the client, ours with the assignment
			attempts, abort := context.WithCancelCause(context.WithoutCancel(ctx))
			a := &Assignment{
				attempts: attempts, abort: abort,
				Topic: topic, TopicID: ids[topic], Partition: num, window: g.o.Window, bounds: g.o.Inbox, roomy: g.roomy,
				log: g.o.Log, reread: rereader(g.o),
				Ledger: newLedger(g.o.Window, func(rec *kgo.Record) { client.MarkCommitRecords(rec) }),
				ctx:    actx, cancel: cancel, worker: make(chan struct{}), arrived: make(chan struct{}, 1),
			}
			g.assigned[p] = a
			g.workers.Add(1)
			go func() {
				defer g.workers.Done()
				defer close(a.worker)
				g.o.Work(a)
			}()
		}
	}
	// Pause state outlives assignments inside the client: whatever was left must not keep the new ones silent.
	client.ResumeFetchPartitions(assigned)
	if len(assigned) > 0 {
		g.o.Log.Info("partitions_assigned", "group", g.o.Group, "partitions", assigned)
	}
}

// topicIDPatience bounds how long an assignment waits for a topic that Kafka names no id for.
const topicIDPatience = 10 * time.Second

// lookUpTopicIDs asks for the ids that make a delivery's identity; it repeats until Kafka answers, because an
// assignment without them would give deliveries another identity than their retries have. It asks the broker each
// time: the client's cache may still know the id of a topic that was recreated since.
func (g *Group) lookUpTopicIDs(ctx context.Context, client *kgo.Client, assigned map[string][]int32) map[string][16]byte {
	ids := make(map[string][16]byte, len(assigned))
	for begun := time.Now(); len(ids) < len(assigned) && ctx.Err() == nil; {
		req := kmsg.NewPtrMetadataRequest()
		for topic := range assigned {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = kmsg.StringPtr(topic)
			req.Topics = append(req.Topics, t)
		}
		resp, err := req.RequestWith(ctx, client)
		if err == nil {
			for _, t := range resp.Topics {
				if err = errors.Join(err, kerr.ErrorForCode(t.ErrorCode)); t.ErrorCode == 0 && t.Topic != nil {
					ids[*t.Topic] = t.TopicID
				}
			}
			if len(ids) == len(assigned) || time.Since(begun) > topicIDPatience {
				return ids
			}
		}
		g.o.Log.Warn("topic_ids_unavailable", "topics", assigned, "err", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return ids
}

func (g *Group) onRevoked(_ context.Context, client *kgo.Client, revoked map[string][]int32) {
	if len(revoked) == 0 {
		return
	}
	g.o.Log.Info("partitions_revoked", "group", g.o.Group, "partitions", revoked)
	g.drain(client, revoked, ErrRevoked)
	client.ResumeFetchPartitions(revoked)
}

func (g *Group) onLost(_ context.Context, client *kgo.Client, lost map[string][]int32) {
	if len(lost) == 0 {
		return
	}
	g.o.Log.Warn("partitions_lost", "group", g.o.Group, "partitions", lost,
		"hint", "this member was silent longer than the session timeout; another one has its partitions")
	g.forget(g.take(lost), ErrLost)
	client.ResumeFetchPartitions(lost)
}

// forget ends assignments at once: nothing is committed for them and nothing handed off.
func (g *Group) forget(list []*Assignment, cause error) {
	for _, a := range list {
		a.Ledger.Seal()
		a.end(cause)
		a.abort(ErrLost)
		g.o.Drop(a)
	}
}

// take removes assignments from the map; nil takes all.
func (g *Group) take(parts map[string][]int32) []*Assignment {
	g.mu.Lock()
	defer g.mu.Unlock()
	var taken []*Assignment
	if parts == nil {
		for p, a := range g.assigned {
			taken = append(taken, a)
			delete(g.assigned, p)
		}
		return taken
	}
	for topic, nums := range parts {
		for _, num := range nums {
			p := partition{topic, num}
			if a := g.assigned[p]; a != nil {
				taken = append(taken, a)
				delete(g.assigned, p)
			}
		}
	}
	return taken
}

// handOff runs beside the drain: it waits for room in the producer's buffer, the drain only for its own time.
func (g *Group) handOff(a *Assignment) { g.workers.Go(func() { g.o.HandOff(a) }) }

// drain ends the assignments of partitions, or all for nil, without losing or repeating what finished: see step 4 of the
// package comment. A revocation waits here for a stop that has the partition in hand: if it returned before their
// commit, their next owner would read what is being finished, and the commit would then go back behind that owner's.
func (g *Group) drain(client *kgo.Client, parts map[string][]int32, cause error) {
	g.draining.Lock()
	defer g.draining.Unlock()
	list := g.take(parts)
	if len(list) == 0 {
		return
	}
	for _, a := range list {
		a.end(cause)
	}
	// Half of the time for what is under way to finish, the other half for what was cancelled to be handed off.
	ctx, cancel := context.WithTimeoutCause(context.Background(), g.o.DrainTimeout, //nolint:contextcheck // the drain outlives the context that ended
		fmt.Errorf("%s: drain took longer than %s", g.o.Name, g.o.DrainTimeout))
	defer cancel()
	half := time.NewTimer(g.o.DrainTimeout / 2)
	defer half.Stop()
	for _, a := range list {
		g.handOff(a)
	}
	for _, a := range list {
		for worker := a.worker; ; {
			open, changed := a.Ledger.Open()
			if open == 0 && worker == nil {
				break
			}
			select {
			case <-worker:
				worker = nil
				g.handOff(a) // what the worker submitted last
				continue
			case <-changed:
				continue
			case <-half.C:
				for _, a := range list {
					a.abort(cause)
				}
				continue
			case <-ctx.Done():
			}
			break
		}
	}
	left := 0
	for _, a := range list {
		left += a.Ledger.Seal()
		a.abort(cause) // releases the context; what is still under way changes nothing any more
	}
	if left > 0 {
		g.o.Log.Warn("drain_incomplete", "group", g.o.Group, "records", left, "waited", g.o.DrainTimeout.String(),
			"hint", "these records are read again; receivers may see duplicates with the same webhook-id")
	}
	if err := g.commitLast(client, list); err != nil {
		g.o.Log.Warn("commit_failed", "group", g.o.Group, "err", err, "hint", "what finished since the last commit is read again")
	}
}
