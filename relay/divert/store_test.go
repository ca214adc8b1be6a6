package divert

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/relay"
)

func TestStore_PutListGetDelete(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	b.active("wh_1")
	d := delivery("wh_1", 1)
	put(t, s, d, exhausted)

	page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	e := page.Items[0]
	require.WithinDuration(t, time.Now(), e.DivertedAt, 5*time.Second)
	e.DivertedAt = time.Time{}
	require.Equal(t, Entry{
		DeliveryID: d.ID, UID: "wh_1", Tenant: "acme", EventID: "evt-1", EventType: "debt.paid", TransactionID: "tx-1",
		Reason: ReasonExhausted, Attempts: 3, LastStatus: 500, LastError: "500 Internal Server Error", State: StateDiverted,
		Partition: partitionOfUID("wh_1", 3),
	}, e)
	require.EqualValues(t, 1, page.Total)

	detail, err := s.Get(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	require.Equal(t, d.Event, detail.Delivery.Event, "the event's bytes are kept")
	require.Equal(t, exhausted, detail.Why)

	_, err = s.Get(t.Context(), "other", "wh_1", d.ID)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.Get(t.Context(), "acme", "wh_2", d.ID)
	require.ErrorIs(t, err, ErrNotFound)
	page, err = s.List(t.Context(), Query{Tenant: "other", UID: "wh_1"})
	require.NoError(t, err)
	require.Zero(t, page)

	require.NoError(t, s.Delete(t.Context(), "acme", "wh_1", d.ID))
	_, err = s.Get(t.Context(), "acme", "wh_1", d.ID)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, s.Delete(t.Context(), "acme", "wh_1", d.ID), ErrNotFound)
}

func TestStore_PutKeepsEmptyEvent(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	for i, raw := range [][]byte{nil, {}} {
		d := delivery("wh_1", i)
		d.Event.Raw, d.Event.Data = raw, raw
		d.Event.Span.From, d.Event.Span.To = 0, 0
		put(t, s, d, exhausted)
		_, err := s.Get(t.Context(), "acme", "wh_1", d.ID)
		require.NoError(t, err, "an event without bytes is no tombstone")
	}
}

// resent is the delivery that a resend took to the retry topics.
func resent(t *testing.T, b *bench, n int) *relay.Delivery {
	t.Helper()
	require.Eventually(t, func() bool { return len(b.resends.deliveries()) >= n }, 5*time.Second, 5*time.Millisecond)
	return b.resends.deliveries()[n-1]
}

func TestStore_ResendOne(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	b.active("wh_1")
	d := delivery("wh_1", 1)
	d.Gone, d.Postponed = true, 4
	put(t, s, d, exhausted)

	entry, err := s.ResendOne(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	require.Equal(t, StateResending, entry.State)
	r := resent(t, b, 1)
	require.Equal(t, "wh_1/"+d.ID+"/0", r.DivertKey)
	require.Equal(t, 1, r.Resends)
	require.Equal(t, 3, r.Attempts, "attempts go on counting")
	require.Zero(t, r.Retries)
	require.Zero(t, r.Postponed)
	require.False(t, r.Gone)
	require.Equal(t, d.WebhookID, r.WebhookID)
	require.Greater(t, time.Until(r.Deadline), 74*time.Hour, "the standard schedule begins anew")

	_, err = s.ResendOne(t.Context(), "acme", "wh_1", d.ID)
	require.ErrorIs(t, err, ErrResending)
	got, err := s.Get(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	require.Equal(t, StateResending, got.State)

	t.Run("released", func(t *testing.T) {
		await(t, func(acked func()) { s.Release(r, acked) })
		got, err := s.Get(t.Context(), "acme", "wh_1", d.ID)
		require.NoError(t, err)
		require.Equal(t, StateDiverted, got.State)
	})
	t.Run("resolved", func(t *testing.T) {
		await(t, func(acked func()) { s.Resolve(r, acked) })
		_, err := s.Get(t.Context(), "acme", "wh_1", d.ID)
		require.ErrorIs(t, err, ErrNotFound)
	})
}

func TestStore_ResendOneOnlyToActiveWebhooks(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	d := delivery("wh_1", 1)
	put(t, s, d, exhausted)
	_, err := s.ResendOne(t.Context(), "acme", "wh_1", d.ID)
	require.ErrorIs(t, err, ErrInactive, "deleted")
	w := b.active("wh_1").Clone()
	w.Enabled = false
	b.hooks.set(w)
	_, err = s.ResendOne(t.Context(), "acme", "wh_1", d.ID)
	require.ErrorIs(t, err, ErrInactive, "disabled")
	require.Empty(t, b.resends.deliveries())
}

func TestStore_ResendConcurrently(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	other := b.store()
	b.active("wh_1")
	d := delivery("wh_1", 1)
	put(t, s, d, exhausted)
	const many = 50
	errs := make(chan error, many)
	for i := range many {
		go func() {
			_, err := []*Store{s, other}[i%2].ResendOne(t.Context(), "acme", "wh_1", d.ID)
			errs <- err
		}()
	}
	sent := 0
	for range many {
		switch err := <-errs; {
		case err == nil:
			sent++
		case !errors.Is(err, ErrResending):
			require.NoError(t, err)
		}
	}
	require.Equal(t, 1, sent)
	require.Len(t, b.resends.deliveries(), 1)
}

// A resend that fails becomes the next generation, and what settles the previous one late does not touch it.
func TestStore_FailedResend(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	b.active("wh_1")
	d := delivery("wh_1", 1)
	put(t, s, d, exhausted)
	_, err := s.ResendOne(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	r := resent(t, b, 1)
	r.Attempts = 13
	put(t, s, r, Why{Reason: ReasonDeadline, Error: "deadline"})

	check := func() {
		t.Helper()
		page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
		require.NoError(t, err)
		require.Len(t, page.Items, 1)
		require.Equal(t, 1, page.Items[0].Generation)
		require.Equal(t, 13, page.Items[0].Attempts)
		require.Equal(t, StateDiverted, page.Items[0].State)
	}
	check()
	await(t, func(acked func()) { s.Resolve(r, acked) }) // a zombie's duplicate of the resend was delivered
	check()
	detail, err := s.Get(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	require.Empty(t, detail.Delivery.DivertKey, "what is stored resolves nothing")

	_, err = s.ResendOne(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	require.Equal(t, 2, resent(t, b, 2).Resends)
}

// A duplicate of an older generation that arrives after the newer one is neither listed nor kept.
func TestStore_OlderGenerationIsRemoved(t *testing.T) {
	b := newBench(t)
	s, stop := b.running()
	old, newer := delivery("wh_1", 1), delivery("wh_1", 1)
	newer.Resends = 1
	put(t, s, newer, exhausted)
	put(t, s, old, exhausted)
	for range 2 {
		page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
		require.NoError(t, err)
		require.Len(t, page.Items, 1)
		require.Equal(t, 1, page.Items[0].Generation)
	}
	require.NoError(t, s.Delete(t.Context(), "acme", "wh_1", old.ID))
	require.NoError(t, s.chains.wait(t.Context()))
	stop()
	b.mini.FlushAll() // read anew from the topic, the older one is not there either
	b.run(s)
	require.Eventually(t, func() bool {
		page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
		return err == nil && len(page.Items) == 0
	}, 5*time.Second, 10*time.Millisecond)
}

// The process ends between the two writes of a resend: the diverted event is still listed and can be resent.
func TestStore_CrashBetweenWritesOfResend(t *testing.T) {
	b := newBench(t)
	s, stop := b.running()
	b.active("wh_1")
	d := delivery("wh_1", 1)
	put(t, s, d, exhausted)
	b.resends.hold() // the delivery is written, its acknowledgement never arrives
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := s.ResendOne(ctx, "acme", "wh_1", d.ID)
		failed <- err
	}()
	resent(t, b, 1)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	stop()
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, s.Close(dead))

	next, _ := b.running()
	detail, err := next.Get(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	require.Equal(t, StateDiverted, detail.State)
	b.mini.FastForward(claimFor + time.Second)
	b.resends.release()
	_, err = next.ResendOne(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	require.Len(t, b.resends.deliveries(), 2, "a duplicate, never a loss")
}

func TestStore_BadDivertKeyIsSettled(t *testing.T) {
	b := newBench(t)
	s := b.store()
	d := delivery("wh_1", 1)
	d.DivertKey = "nonsense"
	await(t, func(acked func()) { s.Resolve(d, acked) })
	await(t, func(acked func()) { s.Release(d, acked) })
	put(t, s, d, exhausted)
}

// What settles on the acknowledgement must find every record written, however few they are.
func TestStore_AcknowledgesAfterAllRecords(t *testing.T) {
	b := newBench(t)
	s := b.store()
	p := partitionOfUID("wh_1", 3)
	end := func() int64 {
		ends, err := s.endOffsets(t.Context(), []int32{p})
		require.NoError(t, err)
		return ends[p]
	}
	d := delivery("wh_1", 1)
	put(t, s, d, exhausted)
	require.EqualValues(t, 1, end())
	d.DivertKey, d.Resends = KeyOf(d).String(), 1
	put(t, s, d, exhausted)
	require.EqualValues(t, 1+3, end(), "the new generation and two tombstones")
	await(t, func(acked func()) { s.Release(d, acked) })
	require.EqualValues(t, 1+3+1, end())
	await(t, func(acked func()) { s.Resolve(d, acked) })
	require.EqualValues(t, 1+3+1+2, end())
}

// A delivery that names its own key is a bug elsewhere; it must not erase itself.
func TestStore_PutNeverErasesItself(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	d := delivery("wh_1", 1)
	d.DivertKey = KeyOf(d).String()
	put(t, s, d, exhausted)
	_, err := s.Get(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
}

func TestStore_LargestEvent(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	d := delivery("wh_1", 1)
	d.Event.Raw = make([]byte, relay.DefaultMaxEventBytes)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(d.Event.Raw) // does not compress
	d.Event.Span.From, d.Event.Span.To = 0, len(d.Event.Raw)
	put(t, s, d, exhausted)
	detail, err := s.Get(t.Context(), "acme", "wh_1", d.ID)
	require.NoError(t, err)
	require.True(t, bytes.Equal(d.Event.Raw, detail.Delivery.Event.Data))
}

func TestOptions_Validate(t *testing.T) {
	b := newBench(t)
	for name, breakIt := range map[string]func(*Options){
		"Kafka": func(o *Options) { o.Kafka = nil }, "Redis": func(o *Options) { o.Redis = nil }, "Webhooks": func(o *Options) { o.Webhooks = nil },
		"Resend": func(o *Options) { o.Resend = nil }, "Log": func(o *Options) { o.Log = nil }, "MaxEventBytes": func(o *Options) { o.Topics.MaxEventBytes = 0 },
		"SweepInFlight": func(o *Options) { o.SweepInFlight = -1 },
	} {
		o := b.options()
		breakIt(&o)
		_, err := New(o)
		require.ErrorContains(t, err, name)
	}
}
