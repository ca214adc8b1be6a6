package divert

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/jobs"
)

// errDied is what a crash hook answers: from there on the process is gone.
var errDied = errors.New("the process died")

// kill stops a store as a process that dies does: nothing that it has not written is written any more.
func (b *bench) kill(s *Store, stop func()) {
	stop()
	dead, cancel := context.WithCancel(b.t.Context())
	cancel()
	_ = s.Close(dead) // gives up what is open, which is the point
}

// A hundred ask for the same resend, through two processes: one is in flight.
func TestFaults_ResendHundredfold(t *testing.T) {
	b := newBench(t)
	one, _ := b.running()
	two, _ := b.running()
	b.active("wh_1")
	d := delivery("wh_1", 1)
	put(t, one, d, exhausted)
	var wg sync.WaitGroup
	answers := make(chan error, 100)
	for i := range 100 {
		wg.Go(func() {
			_, err := []*Store{one, two}[i%2].ResendOne(t.Context(), "acme", "wh_1", d.ID)
			answers <- err
		})
	}
	wg.Wait()
	close(answers)
	sent := 0
	for err := range answers {
		if err == nil {
			sent++
			continue
		}
		require.ErrorIs(t, err, ErrResending)
	}
	require.Equal(t, 1, sent)
	require.Len(t, b.resends.deliveries(), 1)
	require.Equal(t, StateResending, b.listed(one, "wh_1")[0].State)
}

// Resends race with deletes: the tombstone wins, and what is in flight and fails is diverted anew instead of lost.
func TestFaults_ResendAgainstDelete(t *testing.T) {
	b := newBench(t)
	one, _ := b.running()
	two, _ := b.running()
	b.active("wh_1")
	const n = 40
	all := b.fill("wh_1", n, exhausted, time.Now())
	var wg sync.WaitGroup
	for _, d := range all {
		wg.Go(func() {
			_, err := one.ResendOne(t.Context(), "acme", "wh_1", d.ID)
			if err != nil {
				require.ErrorIs(t, err, ErrNotFound)
			}
		})
		wg.Go(func() {
			if err := two.Delete(t.Context(), "acme", "wh_1", d.ID); err != nil {
				require.ErrorIs(t, err, ErrNotFound)
			}
		})
	}
	wg.Wait()
	require.Empty(t, b.listed(one, "wh_1"), "the tombstone wins, whether it came before or after the marker")
	inFlight := b.resends.deliveries()
	seen := map[string]bool{}
	for _, r := range inFlight {
		require.False(t, seen[r.ID], "one in flight")
		seen[r.ID] = true
		put(t, one, r, exhausted)
	}
	require.Len(t, b.listed(two, "wh_1"), len(inFlight), "what failed again is listed again")
}

// The process dies after the delivery reached the retry topics and before the marker: still listed, sent once more.
func TestFaults_DiesAfterResend(t *testing.T) {
	b := newBench(t)
	s := b.store()
	s.crash = countdown(crashResent, 1, errDied)
	stop := b.run(s)
	b.active("wh_1")
	d := delivery("wh_1", 1)
	put(t, s, d, exhausted)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := s.ResendOne(ctx, "acme", "wh_1", d.ID)
		failed <- err
	}()
	resent(t, b, 1)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	b.kill(s, stop)

	next, _ := b.running()
	require.Equal(t, StateDiverted, b.listed(next, "wh_1")[0].State)
	_, err := next.ResendOne(t.Context(), "acme", "wh_1", d.ID)
	require.ErrorIs(t, err, ErrResending, "the claim of the dead one, for a while")
	b.mini.FastForward(claimFor + time.Second)
	_, err = next.ResendOne(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	both := b.resends.deliveries()
	require.Len(t, both, 2, "duplicated, not lost")
	require.Equal(t, both[0].WebhookID, both[1].WebhookID)
	for _, r := range both {
		await(t, func(acked func()) { next.Resolve(r, acked) })
	}
	require.Empty(t, b.listed(next, "wh_1"))
}

// The process dies between a tombstone and the index: the next one reads on from the watermark.
func TestFaults_DiesBeforeIndexing(t *testing.T) {
	b := newBench(t)
	s := b.store()
	stop := b.run(s)
	all := b.fill("wh_1", 20, exhausted, time.Now())
	require.Len(t, b.listed(s, "wh_1"), 20)
	stop() // nobody indexes any more
	await(t, func(acked func()) { s.remove(KeyOf(all[3]), acked) })
	b.kill(s, func() {})

	next, _ := b.running()
	left := b.listed(next, "wh_1")
	require.Len(t, left, 19)
	for _, e := range left {
		require.NotEqual(t, all[3].ID, e.DeliveryID)
	}
}

// The process dies while the index is read anew: no list is short meanwhile, and the next one completes it.
func TestFaults_DiesWhileRebuilding(t *testing.T) {
	b := newBench(t)
	const n = 3 * tailBatch
	b.fill("wh_1", n, exhausted, time.Now().Add(-time.Hour))
	s := b.store(func(o *Options) { o.IndexWait = 100 * time.Millisecond })
	dead := make(chan struct{})
	batches := 0
	s.crash = func(at crashPoint) error {
		if at != crashIndexing {
			return nil
		}
		if batches++; batches == 2 {
			close(dead)
		}
		if batches >= 2 {
			return errDied
		}
		return nil
	}
	stop := b.run(s)
	<-dead
	_, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
	require.ErrorIs(t, err, ErrIndexBehind, "never a part taken for the whole")
	b.kill(s, stop)

	next, _ := b.running(func(o *Options) { o.IndexWait = 10 * time.Second })
	require.Len(t, b.listed(next, "wh_1"), n)
}

// The webhook is suspended again while its first suspension is drained, and the sweeper dies in both. Everything is
// sent or listed at every moment, the sweeper empties what is to be emptied, and what a relay that did not know diverts
// late, with the epoch that ended, goes the same way.
func TestFaults_SuspendDuringDrain(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed()
	b.active("wh_1")
	all := b.fill("wh_1", 60, suspended, time.Now().Add(-time.Hour))
	nothingLost := func(want []*relay.Delivery) {
		t.Helper()
		held := map[string]bool{}
		for _, e := range b.listed(s, "wh_1") {
			held[e.DeliveryID] = true
		}
		for _, d := range want {
			require.True(t, held[d.ID], "neither delivered nor listed")
		}
	}
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1})
	first := b.swept(w)
	require.Len(t, first, 10)
	nothingLost(all)

	// Suspended again: the ones in flight come back as the next epoch's, and nothing more is sent.
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 2, Active: true})
	for _, d := range first {
		put(t, s, d, Why{Reason: ReasonSuspended, Epoch: 2})
	}
	require.Empty(t, b.swept(w))
	nothingLost(all)

	// It ends. The sweeper dies after its resends, before their markers.
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 2})
	victim := b.store()
	victim.crash = countdown(crashResent, 1, errDied)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	before := len(b.resends.deliveries())
	b.mini.FastForward(time.Hour)
	go func() { ended <- newSweeper(victim, "victim").sweep(ctx) }()
	resent(t, b, before+1)
	cancel()
	require.Error(t, <-ended)
	nothingLost(all)
	b.mini.FastForward(time.Hour) // its lock and claims end

	late := delivery("wh_1", 500)
	put(t, s, late, suspended) // by a relay that did not know yet
	all = append(all, late)
	delivered := map[string]bool{}
	for range 100 {
		for _, d := range b.swept(w) {
			delivered[d.ID] = true
			await(t, func(acked func()) { s.Resolve(d, acked) })
		}
		if len(b.listed(s, "wh_1")) == 0 {
			break
		}
		// The victim's resends that were marked are in flight too; they arrive.
		for _, d := range b.resends.deliveries() {
			delivered[d.ID] = true
			await(t, func(acked func()) { s.Resolve(d, acked) })
		}
	}
	require.Empty(t, b.listed(s, "wh_1"), "the sweeper empties")
	for _, d := range all {
		require.True(t, delivered[d.ID])
	}
}

// A deleted webhook's diverted events stay listed, are never resent by anything, and go when they are old.
func TestFaults_DeletedWebhookKeepsItsRows(t *testing.T) {
	b := newBench(t)
	now := time.Now()
	s, w := b.tailed(b.withJobs, func(o *Options) { o.Retention = time.Hour })
	b.active("wh_1")
	b.fill("wh_1", 10, suspended, now.Add(-time.Minute))
	old := delivery("wh_1", 100)
	b.produce(divertedRecord(b.topics.Diverted(), old, exhausted, now.Add(-2*time.Hour)))
	flying := delivery("wh_1", 101)
	put(t, s, flying, exhausted)
	_, err := s.ResendOne(t.Context(), "acme", "wh_1", flying.ID)
	require.NoError(t, err)
	b.start(s, bulk("1", jobs.KindResend, jobs.Selection{})) // its job is not begun
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1})
	b.hooks.delete("wh_1")

	pending := resent(t, b, 1)
	await(t, func(acked func()) { s.Release(pending, acked) }) // a pending retry is cancelled
	for range 3 {
		require.Empty(t, b.swept(w), "neither the ended suspension nor the job sends anything")
	}
	_, err = s.ResendOne(t.Context(), "acme", "wh_1", flying.ID)
	require.ErrorIs(t, err, ErrInactive)
	page, err := s.List(t.Context(), Query{Tenant: "acme"})
	require.NoError(t, err)
	require.Len(t, page.Items, 12)
	for _, e := range page.Items {
		require.Equal(t, StateDiverted, e.State)
	}
	w.expired = time.Time{}
	require.Empty(t, b.swept(w))
	require.Len(t, b.listed(s, "wh_1"), 11, "the old one went")
}

// Compaction runs between the listing and the reading: the record that the list named is gone, and is found where it
// stands now; one that is gone for good is not answered with another's.
func TestFaults_CompactionBetweenListAndRead(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed(b.withJobs)
	b.active("wh_1")
	now := time.Now().Add(-time.Hour)
	all := b.fill("wh_1", 3, exhausted, now)
	listed := b.listed(s, "wh_1")
	topic, p := b.topics.Diverted(), partitionOfUID("wh_1", 3)
	b.produce(divertedRecord(topic, all[0], exhausted, now), tombstone(topic, KeyOf(all[1])))
	b.produce(barrierRecord(topic, p)) // the cleaner leaves the last batch alone
	b.cluster.Compact()

	_, err := s.Read(t.Context(), listed[0])
	require.ErrorIs(t, err, ErrNotFound, "that offset is no longer its")
	detail, err := s.Get(t.Context(), "acme", "wh_1", all[0].ID)
	require.NoError(t, err)
	require.Equal(t, all[0].Event.Raw, detail.Delivery.Event.Raw)
	_, err = s.Get(t.Context(), "acme", "wh_1", all[1].ID)
	require.ErrorIs(t, err, ErrNotFound)

	b.start(s, bulk("1", jobs.KindResend, jobs.Selection{}))
	require.ElementsMatch(t, ids([]*relay.Delivery{all[0], all[2]}), ids(b.swept(w)))
}

// Redis loses everything while a job runs: it goes on, and each entry is deleted once.
func TestFaults_FlushDuringJob(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed(b.withJobs, func(o *Options) { o.SweepEvery = time.Nanosecond }) // one page a tick
	b.fill("wh_1", 4*maxPage, exhausted, time.Now().Add(-time.Hour))
	b.start(s, bulk("1", jobs.KindDelete, jobs.Selection{}))
	require.Empty(t, b.swept(w))
	j := b.job(s, "1")
	require.Equal(t, jobs.StateRunning, j.State())
	require.EqualValues(t, maxPage, j.Progress.Done)
	b.mini.FlushAll()
	for range 200 {
		if b.job(s, "1").State().Final() {
			break
		}
		_ = w.sweep(t.Context()) // fails while the index is read anew
	}
	j = b.job(s, "1")
	require.Equal(t, jobs.StateFinished, j.State())
	require.EqualValues(t, 4*maxPage, j.Progress.Done)
	require.Empty(t, b.listed(s, "wh_1"))
}

// What the sweeper resends and what an operator resends at the same time is in flight once.
func TestFaults_SweeperAgainstOperator(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed()
	b.active("wh_1")
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1})
	all := b.fill("wh_1", 10, suspended, time.Now())
	_, err := s.List(t.Context(), Query{Tenant: "acme"})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for _, d := range all {
		wg.Go(func() {
			if _, err := s.ResendOne(t.Context(), "acme", "wh_1", d.ID); err != nil {
				require.ErrorIs(t, err, ErrResending)
			}
		})
	}
	wg.Go(func() { require.NoError(t, w.sweep(t.Context())) })
	wg.Wait()
	b.swept(w)
	seen := map[string]int{}
	for _, r := range b.resends.deliveries() {
		seen[r.ID]++
	}
	for _, d := range all {
		require.Equal(t, 1, seen[d.ID])
	}
}
