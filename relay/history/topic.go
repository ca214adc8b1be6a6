package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// layout is what the brokers say of a topic.
type layout struct {
	topic   string
	id      kadm.TopicID
	leaders []int32 // by partition
}

// topics reads topics by offset. It holds no state: the brokers are asked each time, which an operator's requests can
// afford.
type topics struct {
	client *kgo.Client
	admin  *kadm.Client
}

func (t topics) layout(ctx context.Context, topic string) (layout, error) {
	details, err := t.admin.ListTopics(ctx, topic)
	if err != nil {
		return layout{}, fmt.Errorf("describe topic %s: %w", topic, err)
	}
	detail := details[topic]
	if detail.Err == nil && len(detail.Partitions) == 0 {
		detail.Err = kerr.UnknownTopicOrPartition
	}
	if detail.Err != nil {
		return layout{}, fmt.Errorf("describe topic %s: %w", topic, detail.Err)
	}
	l := layout{topic: topic, id: detail.ID, leaders: make([]int32, len(detail.Partitions))}
	for p, partition := range detail.Partitions {
		if partition.Err != nil && !errors.Is(partition.Err, kerr.ReplicaNotAvailable) {
			return layout{}, fmt.Errorf("describe %s/%d: %w", topic, p, partition.Err)
		}
		if int(p) < len(l.leaders) {
			l.leaders[p] = partition.Leader
		}
	}
	return l, nil
}

const (
	// fetchBytes is how much one fetch asks for; a broker answers with at least one batch, however large.
	fetchBytes = 1 << 20
	// fetchWaitMillis is how long a broker waits for a byte: what is asked for is there already.
	fetchWaitMillis = 100
	// fetchTries bounds the fetches in a row that bring nothing.
	fetchTries = 3
)

// read visits the records of a partition from an offset to another, exclusive, in their order, one fetch in memory at a
// time. It returns the bytes of their values.
func (t topics) read(ctx context.Context, l layout, partition int32, from, to int64, visit func(*kgo.Record)) (bytes int, err error) {
	for tries := 0; from < to; {
		records, next, err := t.fetch(ctx, l, partition, from)
		if err != nil {
			return bytes, fmt.Errorf("read %s/%d at %d: %w", l.topic, partition, from, err)
		}
		for _, rec := range records {
			if rec.Offset < to {
				bytes += len(rec.Value)
				visit(rec)
			}
		}
		if next > from {
			from, tries = next, 0
			continue
		}
		if tries++; tries == fetchTries {
			return bytes, fmt.Errorf("read %s/%d at %d: nothing came", l.topic, partition, from)
		}
	}
	return bytes, nil
}

// fetch reads once. next is the offset to go on at.
func (t topics) fetch(ctx context.Context, l layout, partition int32, offset int64) (records []*kgo.Record, next int64, err error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = fetchWaitMillis, 1, fetchBytes
	req.IsolationLevel = 1 // committed records only
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = l.topic, l.id
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = partition, offset, fetchBytes, -1
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)

	answer, err := t.client.Broker(int(l.leaders[partition])).RetriableRequest(ctx, req)
	if err != nil {
		return nil, 0, err
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return nil, 0, fmt.Errorf("a fetch was answered with %T", answer)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, 0, errors.New("a fetch of one partition was not answered with one")
	}
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, Topic: l.topic, Partition: partition, IsolationLevel: kgo.ReadCommitted(),
	}, &resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return fetched.Records, next, fetched.Err
}

// bounds are the first and the end offset of each partition.
func (t topics) bounds(ctx context.Context, l layout) (starts, ends []int64, err error) {
	first, err := t.admin.ListStartOffsets(ctx, l.topic)
	if err != nil {
		return nil, nil, fmt.Errorf("first offsets of %s: %w", l.topic, err)
	}
	last, err := t.admin.ListCommittedOffsets(ctx, l.topic)
	if err != nil {
		return nil, nil, fmt.Errorf("end offsets of %s: %w", l.topic, err)
	}
	if starts, err = pickOffsets(l, first); err != nil {
		return nil, nil, err
	}
	ends, err = pickOffsets(l, last)
	return starts, ends, err
}

// endsBefore are the offsets of the first records at or after a time, the end where there is none. A time before 1970
// is taken for 1970: what is negative means something else to Kafka.
func (t topics) endsBefore(ctx context.Context, l layout, unixMilli int64) ([]int64, error) {
	listed, err := t.admin.ListOffsetsAfterMilli(ctx, max(0, unixMilli), l.topic)
	if err != nil {
		return nil, fmt.Errorf("offsets of %s by time: %w", l.topic, err)
	}
	return pickOffsets(l, listed)
}

func pickOffsets(l layout, listed kadm.ListedOffsets) ([]int64, error) {
	offsets := make([]int64, len(l.leaders))
	for p := range offsets {
		o, ok := listed.Lookup(l.topic, int32(p))
		if !ok {
			return nil, fmt.Errorf("offset of %s/%d: no answer", l.topic, p)
		}
		if o.Err != nil {
			return nil, fmt.Errorf("offset of %s/%d: %w", l.topic, p, o.Err)
		}
		offsets[p] = o.Offset
	}
	return offsets, nil
}
