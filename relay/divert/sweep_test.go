package divert

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// sweepers counts those that tests drive, each of which has a name of its own in the lock.
var sweepers atomic.Int64

var suspended = Why{Reason: ReasonSuspended, Epoch: 1}

// tailed makes a store that indexes, and a sweeper that the test drives.
func (b *bench) tailed(change ...func(*Options)) (*Store, *sweeper) {
	b.t.Helper()
	s := b.store(change...)
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		s.runTail(ctx)
		close(done)
	}()
	b.t.Cleanup(func() { cancel(); <-done })
	_, err := s.List(b.t.Context(), Query{Tenant: "acme"}) // the index has begun
	require.NoError(b.t, err)
	w := newSweeper(s, fmt.Sprint("sweeper ", sweepers.Add(1)))
	b.t.Cleanup(w.resign)
	return s, w
}

// swept runs one tick and returns what it resent, after waiting for what is still being indexed.
func (b *bench) swept(w *sweeper) []*relay.Delivery {
	b.t.Helper()
	_, err := w.s.List(b.t.Context(), Query{Tenant: "acme"})
	require.NoError(b.t, err)
	before := len(b.resends.deliveries())
	require.NoError(b.t, w.sweep(b.t.Context()))
	return b.resends.deliveries()[before:]
}

func TestSweeper_RampsOldestFirst(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed()
	b.active("wh_1")
	all := b.fill("wh_1", 100, suspended, time.Now().Add(-time.Hour))
	require.Empty(t, b.swept(w), "no suspension is known yet")
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1, Active: true})
	require.Empty(t, b.swept(w), "the suspension has not ended")
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1})
	var got []*relay.Delivery
	for _, want := range []int{10, 20, 40, 30, 0} {
		sent := b.swept(w)
		require.Len(t, sent, want)
		got = append(got, sent...)
	}
	for i, d := range got {
		require.Equal(t, all[i].ID, d.ID, "oldest first")
		require.Equal(t, 1, d.Resends)
		require.Equal(t, all[i].Event.Raw, d.Event.Raw)
	}
	page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
	require.NoError(t, err)
	require.EqualValues(t, 100, page.Total)
	require.Equal(t, StateResending, page.Items[0].State)
	for _, d := range got {
		await(t, func(acked func()) { s.Resolve(d, acked) })
	}
	page, err = s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
	require.NoError(t, err)
	require.Zero(t, page.Total)
}

func TestSweeper_SelectsDrainedEpochsOnly(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed()
	b.active("wh_1")
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 3, Kept: []int64{2}})
	byEpoch := map[int64]*relay.Delivery{}
	for epoch := range int64(5) {
		d := delivery("wh_1", int(epoch))
		byEpoch[epoch] = d
		put(t, s, d, Why{Reason: ReasonSuspended, Epoch: epoch})
	}
	other := delivery("wh_1", 10)
	put(t, s, other, exhausted)
	var got []string
	for _, d := range b.swept(w) {
		got = append(got, d.ID)
	}
	require.Equal(t, []string{byEpoch[0].ID, byEpoch[1].ID, byEpoch[3].ID}, got, "2 is kept, 4 is yet to come")
	require.Empty(t, b.swept(w))

	late := delivery("wh_1", 11) // by an instance that did not know yet
	put(t, s, late, suspended)
	sent := b.swept(w)
	require.Len(t, sent, 1)
	require.Equal(t, late.ID, sent[0].ID)

	await(t, func(acked func()) { s.Release(sent[0], acked) })
	require.Len(t, b.swept(w), 1, "a cancelled resend is pending again")
}

func TestSweeper_InactiveWebhooksKeepTheirs(t *testing.T) {
	b := newBench(t)
	_, w := b.tailed()
	for _, uid := range []string{"wh_1", "wh_2", "wh_3", "wh_4"} {
		b.active(uid)
		b.fill(uid, 2, suspended, time.Now())
		b.hooks.suspend(&catalog.Suspension{UID: uid, Epoch: 1})
	}
	b.hooks.delete("wh_1")
	disabled := b.active("wh_2").Clone()
	disabled.Enabled = false
	b.hooks.set(disabled)
	b.hooks.suspend(&catalog.Suspension{UID: "wh_3", Epoch: 2, Active: true})
	sent := b.swept(w)
	require.Len(t, sent, 2)
	require.Equal(t, "wh_4", sent[0].UID)
}

func TestSweeper_BoundsWhatIsInFlight(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed(func(o *Options) { o.SweepInFlight = 15 })
	b.active("wh_1")
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1})
	b.fill("wh_1", 40, suspended, time.Now())
	require.Len(t, b.swept(w), 10)
	require.Len(t, b.swept(w), 5)
	require.Empty(t, b.swept(w))
	for _, d := range b.resends.deliveries()[:4] {
		await(t, func(acked func()) { s.Resolve(d, acked) })
	}
	require.Len(t, b.swept(w), 4)
}

func TestSweeper_OneAtATime(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed()
	b.active("wh_1")
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1})
	b.fill("wh_1", 30, suspended, time.Now())
	require.Len(t, b.swept(w), 10)
	other := newSweeper(s, "two")
	require.Empty(t, b.swept(other))
	w.unlock(t.Context())
	require.Len(t, b.swept(other), 10)
	require.Empty(t, b.swept(w))
	b.mini.FastForward(sweepLockFor + time.Second)
	require.Len(t, b.swept(w), 10, "a sweeper that died holds the lock for a while only")
}

// A sweeper that ends between the two writes of its resends leaves them to the next.
func TestSweeper_CrashOnlyDuplicates(t *testing.T) {
	b := newBench(t)
	_, w := b.tailed()
	b.active("wh_1")
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1})
	all := b.fill("wh_1", 10, suspended, time.Now())
	_, err := w.s.List(t.Context(), Query{Tenant: "acme"})
	require.NoError(t, err)
	b.resends.hold()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	victim := newSweeper(b.store(), "victim")
	go func() { ended <- victim.sweep(ctx) }()
	resent(t, b, len(all))
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	b.mini.FastForward(claimFor + time.Second)
	b.resends.mu.Lock()
	b.resends.held, b.resends.waits = false, nil // died: nobody hears the acknowledgements
	b.resends.mu.Unlock()
	count := map[string]int{}
	for _, d := range b.swept(w) {
		count[d.ID]++
	}
	for _, d := range all {
		require.Equal(t, 1, count[d.ID], "each is resent once more, and none is lost")
	}
	require.Empty(t, b.swept(w))
}

// Kick is what makes an unsuspended webhook's events go at once.
func TestStore_Kick(t *testing.T) {
	b := newBench(t)
	s, _ := b.running(func(o *Options) { o.SweepEvery = time.Hour })
	b.active("wh_1")
	b.fill("wh_1", 3, suspended, time.Now())
	_, err := s.List(t.Context(), Query{Tenant: "acme"})
	require.NoError(t, err)
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1})
	s.Kick()
	resent(t, b, 3)
}

// A read by offset believes only a record with the key that it looks for.
func TestStore_ReadVerifiesTheKey(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	d, other := delivery("wh_1", 1), delivery("wh_1", 2)
	topic, now := b.topics.Diverted(), time.Now()
	offsets := b.produce(divertedRecord(topic, d, exhausted, now), divertedRecord(topic, other, exhausted, now))
	p := partitionOfUID("wh_1", 3)
	e, err := s.lookup(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	_, err = s.read(t.Context(), e)
	require.NoError(t, err)
	for name, offset := range map[string]int64{"another delivery": offsets[1], "beyond the end": 1000} {
		moved := e
		moved.Offset = offset
		_, err = s.read(t.Context(), moved)
		require.ErrorIs(t, err, errMoved, name)
	}
	// The first of two writes of one generation is compacted away; another segment keeps the cleaner from nothing.
	b.produce(divertedRecord(topic, d, exhausted, now))
	b.produce(barrierRecord(topic, p))
	b.cluster.Compact()
	_, err = s.read(t.Context(), e)
	require.ErrorIs(t, err, errMoved, "compacted away")
	detail, err := s.Get(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	require.Equal(t, offsets[1]+1, detail.Offset)
}

func TestStore_ReadAtVisitsInOrder(t *testing.T) {
	b := newBench(t)
	s := b.store()
	b.fill("wh_1", 50, exhausted, time.Now())
	p := partitionOfUID("wh_1", 3)
	var got []int64
	require.NoError(t, s.readAt(t.Context(), p, []int64{40, 3, 7, 999, 0}, func(rec *kgo.Record) error {
		got = append(got, rec.Offset)
		return nil
	}))
	require.Equal(t, []int64{0, 3, 7, 40}, got)
}
