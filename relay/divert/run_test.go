package divert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/jobs"
)

// jobs makes a store of jobs that reads its topic until the test ends.
func (b *bench) jobs() *jobs.Store {
	b.t.Helper()
	s, err := jobs.New(jobs.Options{Kafka: b.kafka(), Topics: b.topics, Log: slog.New(slog.DiscardHandler), Wait: 10 * time.Second})
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.t.Cleanup(func() { cancel(); <-done; s.Close() })
	return s
}

func (b *bench) withJobs(o *Options) {
	o.Jobs = b.jobs()
	o.IndexWait = 10 * time.Second // a busy machine
}

func bulk(id string, kind jobs.Kind, sel jobs.Selection) Bulk {
	sel.UID = "wh_1"
	return Bulk{ID: jobs.IDPrefix + id, Tenant: "acme", Kind: kind, Selection: sel, Fingerprint: "f"}
}

func (b *bench) start(s *Store, k Bulk) jobs.Job {
	b.t.Helper()
	j, err := s.Start(b.t.Context(), k)
	require.NoError(b.t, err)
	return j
}

func (b *bench) job(s *Store, id string) jobs.Job {
	b.t.Helper()
	j, err := s.o.Jobs.Get(b.t.Context(), "acme", jobs.IDPrefix+id)
	require.NoError(b.t, err)
	return j
}

// finish sweeps until a job has finished.
func (b *bench) finish(s *Store, w *sweeper, id string) {
	b.t.Helper()
	for range 100 {
		if b.job(s, id).State() == jobs.StateFinished {
			return
		}
		b.swept(w)
	}
	require.FailNow(b.t, "not finished after 100 ticks")
}

// listed is what a webhook has diverted, the oldest first.
func (b *bench) listed(s *Store, uid string) []Entry {
	b.t.Helper()
	all := pages(b.t, s, Query{Tenant: "acme", UID: uid, Limit: 500}, func() {})
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

func ids(deliveries []*relay.Delivery) []string {
	all := make([]string, len(deliveries))
	for i, d := range deliveries {
		all[i] = d.ID
	}
	return all
}

func TestJob_ResendRampsOldestFirst(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed(b.withJobs)
	b.active("wh_1")
	all := b.fill("wh_1", 100, exhausted, time.Now().Add(-time.Hour))
	b.start(s, bulk("1", jobs.KindResend, jobs.Selection{}))
	late := delivery("wh_1", 500)
	put(t, s, late, exhausted) // diverted after the request: not selected
	var got []*relay.Delivery
	for i, want := range []int{10, 20, 40, 30} {
		sent := b.swept(w)
		require.Len(t, sent, want)
		got = append(got, sent...)
		j := b.job(s, "1")
		require.EqualValues(t, len(got), j.Progress.Done, "progress is what was acknowledged")
		require.EqualValues(t, 100, j.Progress.Selected)
		require.Equal(t, i == 3, j.State() == jobs.StateFinished, j.State())
	}
	require.Equal(t, ids(all), ids(got), "oldest first")
	require.Empty(t, b.swept(w))
	require.Nil(t, w.term, "nothing is open, so nobody need be the runner")
	require.Empty(t, s.o.Jobs.Open())
}

func TestJob_Selects(t *testing.T) {
	start := time.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())
	for name, c := range map[string]struct {
		sel  jobs.Selection
		want int
	}{
		"everything":  {jobs.Selection{}, 41},
		"type":        {jobs.Selection{Type: "debt.paid"}, 41},
		"other type":  {jobs.Selection{Type: "debt"}, 0},
		"reason":      {jobs.Selection{Reason: "format"}, 1},
		"transaction": {jobs.Selection{TransactionID: "tx-1"}, 20},
		"event":       {jobs.Selection{EventID: "evt-7"}, 1},
		"range":       {jobs.Selection{From: start.Add(10 * time.Millisecond), To: start.Add(30 * time.Millisecond)}, 20},
		"together":    {jobs.Selection{To: start.Add(30 * time.Millisecond), TransactionID: "tx-1", EventID: "evt-7"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			s, w := b.tailed(b.withJobs)
			b.active("wh_1")
			b.fill("wh_1", 40, exhausted, start)
			b.fill("wh_2", 40, exhausted, start) // another webhook's stay
			put(t, s, delivery("wh_1", 40), Why{Reason: ReasonFormat})
			c.sel.UID = "wh_1"
			n, err := s.Count(t.Context(), "acme", c.sel)
			require.NoError(t, err)
			require.EqualValues(t, c.want, n, "a dry run counts and does nothing")
			require.Empty(t, s.o.Jobs.Open())

			b.start(s, bulk("1", jobs.KindDelete, c.sel))
			require.Empty(t, b.swept(w), "nothing is sent")
			j := b.job(s, "1")
			require.Equal(t, jobs.StateFinished, j.State())
			require.EqualValues(t, c.want, j.Progress.Selected)
			require.EqualValues(t, c.want, j.Progress.Done)
			require.Len(t, b.listed(s, "wh_1"), 41-c.want)
			require.Len(t, b.listed(s, "wh_2"), 40)
		})
	}
}

func TestJob_DeleteIsWholeAndInOneTick(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed(b.withJobs, func(o *Options) { o.SweepEvery = time.Minute })
	b.fill("wh_1", 1200, exhausted, time.Now().Add(-time.Hour))
	b.start(s, bulk("1", jobs.KindDelete, jobs.Selection{})) // of a webhook that is deleted
	require.Empty(t, b.swept(w))
	require.EqualValues(t, 1200, b.job(s, "1").Progress.Done)
	require.Empty(t, b.listed(s, "wh_1"))
}

func TestJob_StartIsRefused(t *testing.T) {
	b := newBench(t)
	s, _ := b.tailed(b.withJobs)
	_, err := s.Start(t.Context(), bulk("1", jobs.KindDelete, jobs.Selection{}))
	require.ErrorIs(t, err, ErrNotFound, "no such webhook")
	_, err = s.Count(t.Context(), "acme", jobs.Selection{UID: "wh_1"})
	require.ErrorIs(t, err, ErrNotFound)
	b.fill("wh_1", 3, exhausted, time.Now())
	_, err = s.Start(t.Context(), bulk("1", jobs.KindResend, jobs.Selection{}))
	require.ErrorIs(t, err, ErrInactive, "deleted")
	foreign := bulk("1", jobs.KindDelete, jobs.Selection{})
	foreign.Tenant = "other"
	_, err = s.Start(t.Context(), foreign)
	require.ErrorIs(t, err, ErrNotFound, "another tenant's")
	b.active("wh_1")
	_, err = s.Start(t.Context(), foreign)
	require.ErrorIs(t, err, ErrNotFound, "another tenant's")
	_, err = b.store().Start(t.Context(), bulk("1", jobs.KindDelete, jobs.Selection{}))
	require.ErrorIs(t, err, ErrNoJobs)

	first := b.start(s, bulk("1", jobs.KindResend, jobs.Selection{}))
	b.hooks.delete("wh_1")
	again := bulk("1", jobs.KindResend, jobs.Selection{})
	again.Fingerprint = "another"
	require.Equal(t, first, b.start(s, again), "asked again: the job that there is")
}

func TestJob_WaitsForItsWebhookAndObeysCancel(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed(b.withJobs)
	b.active("wh_1")
	b.fill("wh_1", 50, exhausted, time.Now())
	b.start(s, bulk("1", jobs.KindResend, jobs.Selection{}))
	require.Len(t, b.swept(w), 10)
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1, Active: true})
	require.Empty(t, b.swept(w))
	require.Equal(t, jobs.StateRunning, b.job(s, "1").State())
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1})
	require.Len(t, b.swept(w), 10)
	_, err := s.o.Jobs.Cancel(t.Context(), "acme", "job_1")
	require.NoError(t, err)
	require.Empty(t, b.swept(w))
	j := b.job(s, "1")
	require.Equal(t, jobs.StateCancelled, j.State())
	require.EqualValues(t, 20, j.Progress.Done, "what was done stays done")
	diverted := 0
	for _, e := range b.listed(s, "wh_1") {
		if e.State == StateDiverted {
			diverted++
		}
	}
	require.Equal(t, 30, diverted)
}

func TestNextStep(t *testing.T) {
	now := time.Now()
	hook := &catalog.Webhook{}
	job := func(kind jobs.Kind, age time.Duration) jobs.Job {
		return jobs.Job{Definition: jobs.Definition{Kind: kind, Created: now.Add(-age)}}
	}
	progressed := job(jobs.KindResend, 2*jobPatience)
	progressed.Progress.Updated = now.Add(-time.Hour)
	cancelled := job(jobs.KindResend, time.Hour)
	cancelled.CancelRequested = now
	for name, c := range map[string]struct {
		job    jobs.Job
		hook   *catalog.Webhook
		active bool
		want   jobStep
	}{
		"active":                        {job(jobs.KindResend, time.Hour), hook, true, stepRun},
		"active after long":             {job(jobs.KindResend, 2*jobPatience), hook, true, stepRun},
		"suspended":                     {job(jobs.KindResend, time.Hour), hook, false, stepWait},
		"suspended for long":            {job(jobs.KindResend, 2*jobPatience), hook, false, stepFail},
		"suspended a while after step":  {progressed, hook, false, stepWait},
		"deleted":                       {job(jobs.KindResend, time.Hour), nil, false, stepFail},
		"not known yet":                 {job(jobs.KindResend, time.Second), nil, false, stepWait},
		"delete of a deleted webhook's": {job(jobs.KindDelete, time.Hour), nil, false, stepRun},
		"delete of a suspended one's":   {job(jobs.KindDelete, 2*jobPatience), hook, false, stepRun},
		"cancelled":                     {cancelled, hook, true, stepCancel},
	} {
		got, why := nextStep(c.job, c.hook, c.active, now)
		require.Equal(t, c.want, got, name)
		require.Equal(t, c.want == stepFail, why != "", name)
	}
}

// A webhook gets one batch a tick: of its suspension first, then of its oldest job.
func TestJob_OneBatchPerWebhookAndTick(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed(b.withJobs)
	b.active("wh_1")
	b.fill("wh_1", 30, exhausted, time.Now())
	for i := range 5 {
		put(t, s, delivery("wh_1", 100+i), suspended)
	}
	b.hooks.suspend(&catalog.Suspension{UID: "wh_1", Epoch: 1})
	b.start(s, bulk("1", jobs.KindResend, jobs.Selection{Reason: "exhausted"}))
	b.start(s, bulk("2", jobs.KindResend, jobs.Selection{Reason: "exhausted"}))
	require.Len(t, b.swept(w), 5, "the suspension's")
	require.Equal(t, jobs.StateQueued, b.job(s, "1").State())
	require.Len(t, b.swept(w), 20)
	require.Len(t, b.swept(w), 10)
	require.Empty(t, b.swept(w), "the other job finds them being resent")
	require.EqualValues(t, 30, b.job(s, "2").Progress.Done)
	require.Equal(t, jobs.StateFinished, b.job(s, "2").State())
}

// The runner dies after the effects of a step and before its progress. Another goes on: nothing is passed over, and
// what the dead one did is found done.
func TestJob_RunnerDiesBeforeProgress(t *testing.T) {
	for _, kind := range []jobs.Kind{jobs.KindResend, jobs.KindDelete} {
		t.Run(string(kind), func(t *testing.T) {
			b := newBench(t)
			died := errors.New("died")
			victim, w := b.tailed(b.withJobs, func(o *Options) { o.SweepEvery = time.Minute })
			b.active("wh_1")
			all := b.fill("wh_1", 700, exhausted, time.Now().Add(-time.Hour))
			victim.crash = countdown(crashUnsaved, 2, died)
			b.start(victim, bulk("1", kind, jobs.Selection{}))
			for range 3 {
				_, err := victim.List(t.Context(), Query{Tenant: "acme"})
				require.NoError(t, err)
				if err = w.sweep(t.Context()); err != nil {
					require.ErrorIs(t, err, died)
					break
				}
			}
			w.resign() // its connections end with it; the lock stays until it runs out
			b.mini.FastForward(time.Hour)

			s, next := b.tailed(b.withJobs, func(o *Options) { o.SweepInFlight = 10_000 })
			b.finish(s, next, "1")
			if kind == jobs.KindDelete {
				require.Empty(t, b.listed(s, "wh_1"))
				return
			}
			require.ElementsMatch(t, ids(all), ids(b.resends.deliveries()), "each once: the dead one's are marked")
			require.EqualValues(t, 700, b.job(s, "1").Progress.Done)
		})
	}
}

// countdown makes a hook that ends the process when a point is reached for the n-th time.
func countdown(at crashPoint, n int, err error) func(crashPoint) error {
	return func(reached crashPoint) error {
		if reached != at {
			return nil
		}
		if n--; n > 0 {
			return nil
		}
		return err
	}
}

// Two sweepers believe that they hold the lock, because Redis lost it. One of them is refused.
func TestJob_OneRunnerWithoutTheLock(t *testing.T) {
	b := newBench(t)
	s, one := b.tailed(b.withJobs)
	other, two := b.tailed(b.withJobs)
	b.active("wh_1")
	b.fill("wh_1", 200, exhausted, time.Now())
	b.start(s, bulk("1", jobs.KindResend, jobs.Selection{}))
	require.Len(t, b.swept(one), 10)
	b.mini.Del("relay:divert:sweeper")
	b.job(other, "1")
	require.Len(t, b.swept(two), 10, "it goes on where the first one was")
	b.mini.Del("relay:divert:sweeper")
	_, err := s.List(t.Context(), Query{Tenant: "acme"})
	require.NoError(t, err)
	require.ErrorIs(t, one.sweep(t.Context()), jobs.ErrFenced)
	require.Nil(t, one.term)
	b.finish(other, two, "1")
	seen := map[string]int{}
	for _, d := range b.resends.deliveries() {
		seen[d.ID]++
	}
	require.Len(t, seen, 200)
}

// Somebody holds a claim on an entry in the middle: the job stops before it and passes over nothing.
func TestJob_ClaimIsWaitedFor(t *testing.T) {
	b := newBench(t)
	s, w := b.tailed(b.withJobs)
	b.active("wh_1")
	all := b.fill("wh_1", 30, exhausted, time.Now())
	claimed, err := s.claim(t.Context(), "wh_1", all[3].ID)
	require.NoError(t, err)
	require.True(t, claimed)
	b.start(s, bulk("1", jobs.KindResend, jobs.Selection{}))
	require.Equal(t, ids(all[:3]), ids(b.swept(w)))
	require.Empty(t, b.swept(w))
	require.Equal(t, jobs.StateRunning, b.job(s, "1").State())
	b.mini.FastForward(claimFor + time.Second)
	require.Equal(t, ids(all[3:13]), ids(b.swept(w)))
}

// The record of an entry moved between the look at it and the read: it is found where it stands now.
func TestResendAll_MovedRecord(t *testing.T) {
	b := newBench(t)
	s := b.store()
	webhook := b.active("wh_1")
	then := time.Now().Add(-time.Hour)
	all := b.fill("wh_1", 5, exhausted, then)
	p := partitionOfUID("wh_1", 3)
	s.crash = func(at crashPoint) error {
		if at == crashLooked {
			b.produce(divertedRecord(b.topics.Diverted(), all[2], exhausted, then), tombstone(b.topics.Diverted(), KeyOf(all[4])))
			b.produce(barrierRecord(b.topics.Diverted(), p)) // the cleaner leaves the last batch alone
			b.cluster.Compact()
		}
		return nil
	}
	b.run(s)
	got, err := s.resendAll(t.Context(), p, webhook, b.listed(s, "wh_1"), causeJob)
	require.NoError(t, err)
	require.Equal(t, batch{resent: 4}, got, "and what is gone is not")
	require.ElementsMatch(t, ids(all[:4]), ids(b.resends.deliveries()))
}

func TestIndex_TransactionsAreLookedUp(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	recs := make([]*kgo.Record, 0, 300)
	for i := range 300 {
		d := delivery("wh_1", i)
		d.Event.TransactionID = fmt.Sprint("tx-", i/3)
		if i%3 == 2 {
			d.Event.TransactionID = ""
		}
		recs = append(recs, divertedRecord(b.topics.Diverted(), d, exhausted, time.Now()))
	}
	b.produce(recs...)
	for _, c := range []struct {
		q    Query
		want int
	}{
		{Query{UID: "wh_1", TransactionID: "tx-7"}, 2}, {Query{TransactionID: "tx-7"}, 2}, {Query{Transaction: "evt-5"}, 1},
		{Query{Transaction: "evt-4"}, 0}, {Query{Transaction: "tx-7", EventID: "evt-22"}, 1}, {Query{UID: "wh_2", Transaction: "tx-7"}, 0},
	} {
		c.q.Tenant, c.q.Limit = "acme", 1
		require.Len(t, pages(t, s, c.q, func() {}), c.want, c.q)
	}
	page, err := s.List(t.Context(), Query{Tenant: "other", Transaction: "tx-7"})
	require.NoError(t, err)
	require.Zero(t, page)
	all := pages(t, s, Query{Tenant: "acme", UID: "wh_1", Limit: 500}, func() {})
	for _, e := range all {
		require.NoError(t, s.Delete(t.Context(), "acme", "wh_1", e.DeliveryID))
	}
	require.Empty(t, pages(t, s, Query{Tenant: "acme", Transaction: "tx-7"}, func() {}))
	require.Eventually(t, func() bool { return !b.mini.Exists(s.index.keys(partitionOfUID("wh_1", 3))[6]) }, 5*time.Second, time.Millisecond)
}
