package intake

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// settleAll settles n records as they come and returns their offsets by partition.
func (m *member) settleAll(t *testing.T, n int) map[int32][]int64 {
	t.Helper()
	offsets := map[int32][]int64{}
	for range n {
		got := m.next(t)
		offsets[got.rec.Partition] = append(offsets[got.rec.Partition], got.rec.Offset)
		m.settle(got.entry)
	}
	return offsets
}

// TestGroup_WaitingPartitionsLeaveTheWindowToOthers: a partition whose worker waits with its head does not keep the
// other from being read, however much stands behind that head.
func TestGroup_WaitingPartitionsLeaveTheWindowToOthers(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 2)
	publish(t, client, 0, 50)
	release := make(chan struct{})
	m := join(t, opts, func(o *GroupOptions) {
		o.Window = NewWindow(Limits{Records: 10, Bytes: 1 << 20, Deliveries: 10})
		o.Inbox = Inbox{Records: 20, Bytes: 1 << 20, Waiting: true}
		work := o.Work
		o.Work = func(a *Assignment) {
			if a.Partition == 0 {
				select {
				case <-release:
				case <-a.Context().Done():
				}
			}
			work(a)
		}
	})
	publish(t, client, 1, 30)
	require.Len(t, m.settleAll(t, 30)[1], 30)
	close(release)
	require.Len(t, m.settleAll(t, 50)[0], 50)
}

// TestGroup_ResumesAsTheInboxDrains: a paused partition goes on when its inbox has room, not at the next look at it.
func TestGroup_ResumesAsTheInboxDrains(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 1)
	publish(t, client, 0, 400)
	begun := time.Now()
	m := join(t, opts, func(o *GroupOptions) { o.Inbox = Inbox{Records: 10, Bytes: 100} })
	m.settleAll(t, 400)
	require.Less(t, time.Since(begun), 10*gateEvery)
}

// TestGroup_FailedCommitsAreRepeated: whatever the coordinator says, the marks are committed once it can.
func TestGroup_FailedCommitsAreRepeated(t *testing.T) {
	t.Parallel()
	for _, refusal := range []*kerr.Error{kerr.RebalanceInProgress, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.IllegalGeneration} {
		t.Run(refusal.Message, func(t *testing.T) {
			t.Parallel()
			cluster, opts, client := kafka(t, 1)
			fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: "g", Err: refusal, Count: 1})
			defer fault.Remove()
			publish(t, client, 0, 3)
			m := join(t, opts, nil)
			m.settleAll(t, 3)
			require.Eventually(t, func() bool { return committed(t, client)[0] == 3 }, waitFor, tick)
			require.LessOrEqual(t, int(fault.Hits()), 1, "no tight loop")
		})
	}
}

// TestGroup_FencedMemberForgets: a member that was thrown out commits nothing of what it had, hands nothing off, and
// reads all of it again with a new ledger.
func TestGroup_FencedMemberForgets(t *testing.T) {
	t.Parallel()
	cluster, opts, client := kafka(t, 1)
	publish(t, client, 0, 3)
	var dropped atomic.Int64
	m := join(t, opts, func(o *GroupOptions) { o.Drop = func(*Assignment) { dropped.Add(1) } })
	old := []taken{m.next(t), m.next(t), m.next(t)}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "g", TopLevel: true, Err: kerr.UnknownMemberID})
	require.Eventually(t, func() bool { return dropped.Load() == 1 }, waitFor, tick)
	require.ErrorIs(t, contextCause(old[0].a), ErrLost)
	for _, got := range old {
		m.settle(got.entry) // late results
	}
	first := m.next(t)
	require.EqualValues(t, 0, first.rec.Offset, "late results commit nothing")
	require.NotSame(t, old[0].a, first.a)
	require.Zero(t, m.handed.Load())
	m.settle(first.entry)
	m.settleAll(t, 2)
	require.Eventually(t, func() bool { return committed(t, client)[0] == 3 }, waitFor, tick)
	require.Zero(t, m.group.o.Window.Usage())
}

// TestGroup_BlockedHandOffDoesNotHoldARebalance: while a hand-off waits for the producer, the partition moves all the
// same; what was not handed off is read again there.
func TestGroup_BlockedHandOffDoesNotHoldARebalance(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 2)
	publish(t, client, 0, 1)
	publish(t, client, 1, 1)
	release := make(chan struct{})
	m := join(t, opts, func(o *GroupOptions) {
		o.DrainTimeout = 200 * time.Millisecond
		o.HandOff = func(*Assignment) { <-release }
	})
	m.next(t)
	m.next(t)
	other := join(t, opts, nil)
	other.settle(other.next(t).entry)
	close(release)
}

// TestGroup_HaltsWhereRecordsAreGone: retention overtakes a partition while it is consumed. It halts and stays so: what
// comes behind the gap is neither read nor committed, and asking does not spin.
func TestGroup_HaltsWhereRecordsAreGone(t *testing.T) {
	t.Parallel()
	cluster, opts, client := kafka(t, 1)
	window := NewWindow(Limits{Records: 2, Bytes: 1 << 20, Deliveries: 10})
	publish(t, client, 0, 2)
	m := join(t, opts, func(o *GroupOptions) { o.Window = window })
	first, second := m.next(t), m.next(t) // full: paused
	require.Eventually(t, window.Full, waitFor, tick)
	publish(t, client, 0, 4)
	require.NoError(t, cluster.DeleteRecords("debt", 0, 5))
	m.settle(first.entry)
	m.settle(second.entry)
	require.Eventually(t, func() bool { return len(m.group.Halted()) == 1 }, waitFor, tick)
	publish(t, client, 0, 3)
	require.Never(t, func() bool { return len(m.taken) > 0 }, 2*gateEvery, 50*time.Millisecond)
	require.EqualValues(t, 2, committed(t, client)[0])

	m.group.onFetchError(client, "debt", 0, &kgo.ErrDataLoss{Topic: "debt"})
	m.group.accept(client, kgo.FetchTopicPartition{Topic: "debt", FetchPartition: kgo.FetchPartition{Records: records(1)}})
	require.Empty(t, m.taken, "the client goes on after a truncation, the group does not")
}

// TestGroup_AddedPartitionsStartAtTheirBeginning: what was published before the member noticed them is read.
func TestGroup_AddedPartitionsStartAtTheirBeginning(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 1)
	m := join(t, append(opts, kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(200*time.Millisecond)), nil)
	publish(t, client, 0, 1)
	m.settleAll(t, 1)
	_, err := kadm.NewClient(client).UpdatePartitions(t.Context(), 3, "debt")
	require.NoError(t, err)
	fresh, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	defer fresh.Close()
	publish(t, fresh, 2, 3)
	require.Equal(t, map[int32][]int64{2: {0, 1, 2}}, m.settleAll(t, 3))
}

// TestGroup_GapsCountAsSettled: aborted transactions and their markers leave offsets that nobody ever sees.
func TestGroup_GapsCountAsSettled(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 1)
	producer, err := kgo.NewClient(append(opts, kgo.TransactionalID("platform"))...)
	require.NoError(t, err)
	defer producer.Close()
	for i := range 6 {
		require.NoError(t, producer.BeginTransaction())
		publish(t, producer, 0, 3)
		require.NoError(t, producer.EndTransaction(t.Context(), kgo.TransactionEndTry(i%2 == 0)))
	}
	m := join(t, opts, nil)
	offsets := m.settleAll(t, 9)[0]
	require.Equal(t, []int64{0, 1, 2, 8, 9, 10, 16, 17, 18}, offsets)
	require.Eventually(t, func() bool { return committed(t, client)[0] == 19 }, waitFor, tick)
}

// TestGroup_RebalanceStorm: a member that comes and goes all the time neither stops the others nor loses anything.
func TestGroup_RebalanceStorm(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 4)
	quick := func(o *GroupOptions) { o.DrainTimeout = 100 * time.Millisecond }
	var (
		mu   sync.Mutex
		seen = map[[2]int64]bool{}
	)
	consume := func(m *member, until <-chan struct{}) {
		for {
			select {
			case got := <-m.taken:
				mu.Lock()
				seen[[2]int64{int64(got.rec.Partition), got.rec.Offset}] = true
				mu.Unlock()
				m.settle(got.entry)
			case <-until:
				return
			}
		}
	}
	stop := make(chan struct{})
	var consumers sync.WaitGroup
	steady := join(t, opts, quick)
	consumers.Go(func() { consume(steady, stop) })
	const rounds, each = 4, 20
	for range rounds {
		gone := make(chan struct{})
		flapping := join(t, opts, quick)
		consumers.Go(func() { consume(flapping, gone) })
		for p := range int32(4) {
			publish(t, client, p, each)
		}
		require.Eventually(t, func() bool { return flapping.group.Assigned() > 0 }, waitFor, tick)
		flapping.leave(t)
		close(gone)
	}
	require.Eventually(t, func() bool {
		at := committed(t, client)
		return at[0]+at[1]+at[2]+at[3] == 4*rounds*each
	}, waitFor, tick)
	close(stop)
	consumers.Wait()
	require.Eventually(t, func() bool { return steady.group.Assigned() == 4 }, waitFor, tick)
}
