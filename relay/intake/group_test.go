package intake

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	waitFor = 20 * time.Second
	tick    = 5 * time.Millisecond
)

// kafka starts an embedded broker with one topic of the given partitions.
func kafka(t *testing.T, partitions int32, extra ...kfake.Opt) (*kfake.Cluster, []kgo.Opt, *kgo.Client) {
	t.Helper()
	c, err := kfake.NewCluster(append(extra, kfake.NumBrokers(1), kfake.SeedTopics(partitions, "debt"),
		kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "100", "group.initial.rebalance.delay.ms": "0"}))...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	opts := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	client, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return c, opts, client
}

func publish(t *testing.T, client *kgo.Client, partition int32, n int) {
	t.Helper()
	for i := range n {
		rec := &kgo.Record{Topic: "debt", Partition: partition, Value: []byte(fmt.Sprintf("p%d-%d", partition, i))}
		require.NoError(t, client.ProduceSync(t.Context(), rec).FirstErr())
	}
}

func committed(t *testing.T, client *kgo.Client) map[int32]int64 {
	t.Helper()
	offsets, err := kadm.NewClient(client).FetchOffsets(t.Context(), "g")
	require.NoError(t, err)
	at := map[int32]int64{}
	offsets.Each(func(o kadm.OffsetResponse) { at[o.Partition] = o.At })
	return at
}

// member is a Group whose worker hands each entry to a test.
type member struct {
	group  *Group
	taken  chan taken
	handed atomic.Int64
	open   sync.Map // *Entry → *Assignment, not begun
	stop   context.CancelFunc
	done   chan error
}

type taken struct {
	a     *Assignment
	rec   *kgo.Record
	entry *Entry
}

func join(t *testing.T, opts []kgo.Opt, edit func(*GroupOptions)) *member {
	t.Helper()
	m := &member{taken: make(chan taken, 10_000), done: make(chan error, 1)}
	o := GroupOptions{Name: "test", Kafka: opts, Group: "g", Topics: []string{"debt"}, SessionTimeout: 4 * time.Second,
		DrainTimeout: time.Second, Window: NewWindow(DefaultLimits), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
	o.Work = func(a *Assignment) {
		for {
			rec, ok := a.Next()
			if !ok {
				return
			}
			e := a.Ledger.Track(rec)
			m.open.Store(e, a)
			m.taken <- taken{a, rec, e}
		}
	}
	o.HandOff = func(a *Assignment) {
		m.open.Range(func(e, owner any) bool {
			if owner == a {
				m.settle(e.(*Entry))
				m.handed.Add(1)
			}
			return true
		})
	}
	o.Drop = func(*Assignment) {}
	if edit != nil {
		edit(&o)
	}
	group, err := NewGroup(o)
	require.NoError(t, err)
	m.group = group
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go func() { m.done <- group.Run(ctx) }()
	t.Cleanup(func() { m.leave(t) })
	return m
}

func (m *member) settle(e *Entry) {
	if _, open := m.open.LoadAndDelete(e); open {
		e.Settle()
	}
}

func (m *member) leave(t *testing.T) {
	t.Helper()
	if m.stop == nil {
		return
	}
	m.stop()
	m.stop = nil
	require.NoError(t, <-m.done)
}

func (m *member) next(t *testing.T) taken {
	t.Helper()
	select {
	case got := <-m.taken:
		return got
	case <-time.After(waitFor):
		t.Fatal("no record arrived")
		return taken{}
	}
}

func TestGroup_CommitsOnlyTheSettledPrefix(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 1)
	publish(t, client, 0, 4)
	m := join(t, opts, nil)
	var got []taken
	for range 4 {
		got = append(got, m.next(t))
	}
	m.settle(got[0].entry)
	m.settle(got[2].entry)
	require.Eventually(t, func() bool { return committed(t, client)[0] == 1 }, waitFor, tick, "one second later the prefix is committed")
	m.settle(got[1].entry)
	require.Eventually(t, func() bool { return committed(t, client)[0] == 3 }, waitFor, tick)
}

func TestGroup_StopHandsOffWhatHasNotFinished(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 1)
	publish(t, client, 0, 5)
	m := join(t, opts, nil)
	var got []taken
	for range 5 {
		got = append(got, m.next(t))
	}
	m.settle(got[4].entry) // finished out of order: a clean stop must not repeat it
	m.leave(t)
	require.EqualValues(t, 4, m.handed.Load())
	require.EqualValues(t, 5, committed(t, client)[0])
}

func TestGroup_StopWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 1)
	publish(t, client, 0, 1)
	var aborted atomic.Bool
	m := join(t, opts, func(o *GroupOptions) {
		o.HandOff = func(*Assignment) {} // nothing waits: the only delivery is under way
		o.DrainTimeout = 4 * time.Second // half of it for what follows
	})
	got := m.next(t)
	go func() { // an attempt that ends only when it is cancelled, and is then handed off
		<-got.a.Attempts().Done()
		aborted.Store(true)
		m.settle(got.entry)
	}()
	m.leave(t)
	require.True(t, aborted.Load())
	require.EqualValues(t, 1, committed(t, client)[0])
}

func TestGroup_LateResultAfterRevokeCommitsNothing(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 1)
	publish(t, client, 0, 2)
	m := join(t, opts, func(o *GroupOptions) {
		o.DrainTimeout = 50 * time.Millisecond
		o.HandOff = func(*Assignment) {}
	})
	first, second := m.next(t), m.next(t)
	m.settle(first.entry)
	m.leave(t)
	m.settle(second.entry)
	require.EqualValues(t, 1, committed(t, client)[0], "the second was never acknowledged in time")
}

// TestGroup_RebalanceGivesFreshAssignments lets a second member come and go while partitions are paused: whatever
// returns must flow again, from the committed offset, with a new ledger.
func TestGroup_RebalanceGivesFreshAssignments(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 2)
	window := NewWindow(Limits{Records: 4, Bytes: 1 << 20, Deliveries: 10})
	publish(t, client, 0, 6)
	publish(t, client, 1, 6)
	m := join(t, opts, func(o *GroupOptions) { o.Window = window })
	seen := map[*Assignment]bool{}
	for range 12 {
		seen[m.next(t).a] = true
	}
	require.Len(t, seen, 2)
	require.Eventually(t, window.Full, waitFor, tick, "both partitions are paused")

	other := join(t, opts, nil)
	require.Eventually(t, func() bool { return m.group.Assigned() == 1 && other.group.Assigned() == 1 }, waitFor, tick)
	other.leave(t) // a dynamic member leaves at once
	require.Eventually(t, func() bool { return m.group.Assigned() == 2 }, waitFor, tick)
	m.open.Range(func(e, _ any) bool { m.settle(e.(*Entry)); return true })

	publish(t, client, 0, 1)
	publish(t, client, 1, 1)
	arrived := map[int32]bool{}
	for len(arrived) < 2 {
		got := m.next(t)
		arrived[got.rec.Partition] = true
		m.settle(got.entry)
		if got.rec.Partition == 1 || got.rec.Partition == 0 {
			seen[got.a] = true
		}
	}
	require.Len(t, seen, 3, "the partition that came back has a new assignment, the other kept its own")
}

func TestGroup_OffsetOutOfRangeHalts(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 1)
	publish(t, client, 0, 5)
	admin := kadm.NewClient(client)
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "debt", At: 1, LeaderEpoch: -1})
	_, err := admin.CommitOffsets(t.Context(), "g", offsets)
	require.NoError(t, err)
	below := kadm.Offsets{}
	below.Add(kadm.Offset{Topic: "debt", At: 3})
	_, err = admin.DeleteRecords(t.Context(), below)
	require.NoError(t, err)

	m := join(t, opts, nil)
	require.Eventually(t, func() bool { return len(m.group.Halted()) == 1 }, waitFor, tick)
	require.Empty(t, m.taken, "nothing behind the gap is read")
	require.EqualValues(t, 1, committed(t, client)[0])
}

func TestGroup_PausesWhenFullAndResumes(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 1)
	window := NewWindow(Limits{Records: 3, Bytes: 1 << 20, Deliveries: 10})
	m := join(t, opts, func(o *GroupOptions) { o.Window = window })
	publish(t, client, 0, 3)
	var got []taken
	for range 3 {
		got = append(got, m.next(t))
	}
	publish(t, client, 0, 3)
	for _, g := range got {
		m.settle(g.entry)
	}
	for range 3 {
		m.settle(m.next(t).entry)
	}
	require.Eventually(t, func() bool { return committed(t, client)[0] == 6 }, waitFor, tick)
}

func contextCause(a *Assignment) error { return context.Cause(a.Context()) }
