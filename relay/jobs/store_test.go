package jobs

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestStore_CreateGetCancel(t *testing.T) {
	b := newBench(t)
	s, _ := b.store()
	other, _ := b.store()
	d := definition("1", 0)
	require.Equal(t, Job{Definition: d}, b.create(s, d))
	got, err := other.Get(t.Context(), "acme", d.ID)
	require.NoError(t, err, "a job that was created is known everywhere")
	require.Equal(t, StateQueued, got.State())
	require.Equal(t, d.Selection, got.Selection)

	again := d
	again.Fingerprint = "another request"
	require.Equal(t, "f", b.create(other, again).Fingerprint, "the first one stays")

	for _, who := range []string{"other", ""} {
		_, err = s.Get(t.Context(), who, d.ID)
		require.ErrorIs(t, err, ErrNotFound)
		_, err = s.Cancel(t.Context(), who, d.ID)
		require.ErrorIs(t, err, ErrNotFound)
	}
	require.False(t, s.Cancelled(d.ID))
	j, err := other.Cancel(t.Context(), "acme", d.ID)
	require.NoError(t, err)
	require.Equal(t, StateCancelling, j.State())
	j, err = s.Cancel(t.Context(), "acme", d.ID)
	require.NoError(t, err)
	require.Equal(t, StateCancelling, j.State())
	require.True(t, s.Cancelled(d.ID))
	require.True(t, s.Cancelled("job_unknown"), "what is not there is not to be carried out")
	_, err = s.Get(t.Context(), "acme", "job_unknown")
	require.ErrorIs(t, err, ErrNotFound)
}

// A cancellation and a progress are written at the same time, by two processes: neither undoes the other.
func TestStore_CancelNeverRacesWithProgress(t *testing.T) {
	b := newBench(t)
	runner, _ := b.store()
	api, _ := b.store()
	b.create(api, definition("1", 0))
	term := b.term(runner)
	require.NoError(t, term.Save(t.Context(), "job_1", Progress{State: StateRunning, Selected: 10, Done: 5}))
	_, err := api.Cancel(t.Context(), "acme", "job_1")
	require.NoError(t, err)
	require.NoError(t, term.Save(t.Context(), "job_1", Progress{State: StateRunning, Selected: 10, Done: 6}))
	for _, s := range []*Store{runner, api} {
		j, err := s.Get(t.Context(), "acme", "job_1")
		require.NoError(t, err)
		require.Equal(t, StateCancelling, j.State())
		require.EqualValues(t, 6, j.Progress.Done)
	}
	require.NoError(t, term.Save(t.Context(), "job_1", Progress{State: StateCancelled, Done: 6}))
	j, err := api.Get(t.Context(), "acme", "job_1")
	require.NoError(t, err)
	require.Equal(t, StateCancelled, j.State())
	require.Empty(t, api.Open())
}

func TestStore_ListNewestFirstAndStable(t *testing.T) {
	b := newBench(t)
	s, _ := b.store()
	for i := range 10 {
		b.create(s, definition(fmt.Sprint(i), time.Duration(i/2)*time.Minute)) // pairs of one age
	}
	foreign := definition("x", 0)
	foreign.Tenant = "other"
	b.create(s, foreign)
	term := b.term(s)
	require.NoError(t, term.Save(t.Context(), "job_3", Progress{State: StateFinished, Finished: created}))

	q := Query{Tenant: "acme", Limit: 3}
	var ids []string
	for {
		page, err := s.List(t.Context(), q)
		require.NoError(t, err)
		for _, j := range page.Items {
			ids = append(ids, j.ID)
		}
		if page.Next == "" {
			break
		}
		q.Cursor = page.Next
		b.create(s, definition("new"+fmt.Sprint(len(ids)), -time.Hour)) // not in this list
	}
	require.Equal(t, []string{"job_1", "job_0", "job_3", "job_2", "job_5", "job_4", "job_7", "job_6", "job_9", "job_8"}, ids)

	for name, c := range map[string]struct {
		q    Query
		want int
	}{
		"finished":      {Query{State: StateFinished}, 1},
		"other webhook": {Query{UID: "wh_2"}, 0},
		"webhook":       {Query{UID: "wh_1", Limit: 100}, 13},
		"kind":          {Query{Kind: KindDelete}, 0},
	} {
		c.q.Tenant = "acme"
		page, err := s.List(t.Context(), c.q)
		require.NoError(t, err)
		require.Len(t, page.Items, c.want, name)
	}
	_, err := s.List(t.Context(), Query{Tenant: "acme", Cursor: "%"})
	require.ErrorIs(t, err, ErrBadCursor)
}

func TestStore_RestartKnowsEverything(t *testing.T) {
	b := newBench(t)
	s, stop := b.store()
	b.create(s, definition("1", time.Hour))
	b.create(s, definition("2", 0))
	term := b.term(s)
	p := Progress{State: StateRunning, Selected: 100, Done: 40, Failed: 2, Position: "here", Started: created, Updated: created}
	require.NoError(t, term.Save(t.Context(), "job_1", p))
	stop()
	next, _ := b.store()
	j, err := next.Get(t.Context(), "acme", "job_1")
	require.NoError(t, err)
	require.Equal(t, p, j.Progress)
	var open []string
	for _, j := range next.Open() {
		open = append(open, j.ID)
	}
	require.Equal(t, []string{"job_1", "job_2"}, open, "the oldest first")
}

// The topic is shared: other records are neither read as jobs nor touched, and a damaged one stops nothing.
func TestStore_OtherRecordsAndDamagedOnes(t *testing.T) {
	b := newBench(t)
	s, _ := b.store()
	topic := b.topics.Jobs()
	origin := &kgo.Record{Topic: topic, Key: []byte("origin/relay"), Value: []byte(`{"from":"latest"}`)}
	require.NoError(t, b.client.ProduceSync(t.Context(), origin,
		&kgo.Record{Topic: topic, Key: []byte("job_bad"), Value: []byte("{")},
		&kgo.Record{Topic: topic, Key: []byte("job_bad/progress"), Value: []byte(`[]`)},
		&kgo.Record{Topic: topic, Key: []byte("job_empty"), Value: []byte(`{}`)},
	).FirstErr())
	b.create(s, definition("1", 0))
	page, err := s.List(t.Context(), Query{Tenant: "acme"})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	term := b.term(s)
	require.NoError(t, term.Save(t.Context(), "job_1", Progress{State: StateFinished, Finished: created}))
	require.NoError(t, term.Forget(t.Context(), created.Add(2*Retention)))
	b.cluster.Compact()

	reader, err := kgo.NewClient(append(b.kafka(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	require.NoError(t, err)
	defer reader.Close()
	first := reader.PollFetches(t.Context()).Records()[0]
	require.Equal(t, "origin/relay", string(first.Key))
	require.NotEmpty(t, first.Value)
}

func TestStore_TooMany(t *testing.T) {
	b := newBench(t)
	s, _ := b.store()
	recs := make([]*kgo.Record, maxOpen)
	for i := range recs {
		recs[i] = definitionRecord(b.topics.Jobs(), definition(fmt.Sprint(i), 0))
	}
	require.NoError(t, b.client.ProduceSync(t.Context(), recs...).FirstErr())
	_, err := s.Create(t.Context(), definition("more", 0))
	require.ErrorIs(t, err, ErrTooMany)
	b.create(s, definition("0", 0)) // a repeated request is answered
	foreign := definition("foreign", 0)
	foreign.Tenant = "other"
	b.create(s, foreign)
}

// The end of the topic stands where no record is any more: a read finds it reached nevertheless.
func TestStore_EndWithoutRecord(t *testing.T) {
	b := newBench(t)
	s, stop := b.store()
	b.create(s, definition("1", 0))
	stop()
	recs := []*kgo.Record{{Topic: b.topics.Jobs(), Key: []byte("gone"), Value: []byte("x")}, {Topic: b.topics.Jobs(), Key: []byte("gone")}}
	require.NoError(t, b.client.ProduceSync(t.Context(), recs...).FirstErr())
	b.cluster.Compact()
	next, _ := b.store()
	next.o.Wait = 2 * time.Second
	_, err := next.Get(t.Context(), "acme", "job_1")
	require.NoError(t, err)
}

func TestStore_NobodyReads(t *testing.T) {
	b := newBench(t)
	s, stop := b.store()
	b.create(s, definition("1", 0))
	stop()
	blind, err := New(Options{Kafka: b.kafka(), Topics: b.topics, Log: s.log, Wait: 50 * time.Millisecond})
	require.NoError(t, err)
	defer blind.Close()
	_, err = blind.List(t.Context(), Query{Tenant: "acme"})
	require.ErrorIs(t, err, ErrBehind, "never an empty list taken for the truth")
}
