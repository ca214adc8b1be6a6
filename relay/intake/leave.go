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

// While the client waits to join, which in a group that lacks a member lasts until that one's session ends, it lets
// nobody commit and nothing close it. A member that stops then must not wait: what it has drained would be repeated, and
// the process would be killed before it ends.
const (
	// commitPatience is how long a commit at stop waits for the client before it goes past it.
	commitPatience = 2 * time.Second
	// commitRetry spaces the tries while the group hands out a new assignment.
	commitRetry = 100 * time.Millisecond
	// closePatience is how long the client has to leave the group in order.
	closePatience = 3 * time.Second
)

// commitLast commits the marks of what was drained, before this member leaves or gives partitions up.
func (g *Group) commitLast(client *kgo.Client, drained []*Assignment) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), commitTimeout, // the drain outlives the context that ended
		fmt.Errorf("%s: commit took longer than %s", g.o.Name, commitTimeout))
	defer cancel()
	waiting, stop := context.WithTimeout(ctx, commitPatience)
	defer stop()
	err := client.CommitMarkedOffsets(waiting)
	if err == nil || waiting.Err() == nil {
		return err
	}
	for {
		if err = g.commitPast(ctx, client, drained); !errors.Is(err, kerr.RebalanceInProgress) {
			return err
		}
		select {
		case <-time.After(commitRetry):
		case <-ctx.Done():
			return err
		}
	}
}

// commitPast commits as the member that this client is, without asking it. Until the group has agreed on its next
// generation, the broker takes the commits of the present one.
func (g *Group) commitPast(ctx context.Context, client *kgo.Client, drained []*Assignment) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = g.o.Group
	req.MemberID, req.Generation = client.GroupMetadata()
	if g.o.InstanceID != "" {
		req.InstanceID = &g.o.InstanceID
	}
	ids := map[string][16]byte{}
	for _, a := range drained {
		ids[a.Topic] = a.TopicID
	}
	for name, parts := range client.MarkedOffsets() {
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic, topic.TopicID = name, ids[name]
		for num, at := range parts {
			part := kmsg.NewOffsetCommitRequestTopicPartition()
			part.Partition, part.Offset, part.LeaderEpoch = num, at.Offset, at.Epoch
			topic.Partitions = append(topic.Partitions, part)
		}
		req.Topics = append(req.Topics, topic)
	}
	if len(req.Topics) == 0 {
		return nil
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return commitError(resp)
}
