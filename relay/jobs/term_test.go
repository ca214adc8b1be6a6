package jobs

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Whoever takes the term refuses everybody before: a runner that was only slow cannot set progress back.
func TestTerm_FencesTheOneBefore(t *testing.T) {
	b := newBench(t)
	one, _ := b.store()
	two, _ := b.store()
	b.create(one, definition("1", 0))
	slow := b.term(one)
	require.NoError(t, slow.Save(t.Context(), "job_1", Progress{State: StateRunning, Done: 1}))
	fast := b.term(two)
	j, _ := two.board.get("job_1")
	require.EqualValues(t, 1, j.Progress.Done, "everything written before is known")
	require.NoError(t, fast.Save(t.Context(), "job_1", Progress{State: StateRunning, Done: 2}))
	require.ErrorIs(t, slow.Save(t.Context(), "job_1", Progress{State: StateRunning, Done: 1}), ErrFenced)
	require.ErrorIs(t, slow.Save(t.Context(), "job_1", Progress{State: StateRunning, Done: 1}), ErrFenced, "for good")
	require.NoError(t, fast.Save(t.Context(), "job_1", Progress{State: StateRunning, Done: 3}))
	j, err := one.Get(t.Context(), "acme", "job_1")
	require.NoError(t, err)
	require.EqualValues(t, 3, j.Progress.Done)
}

// A runner dies inside the transaction of a progress: its successor ends it and goes on.
func TestTerm_DiedWhileSaving(t *testing.T) {
	b := newBench(t)
	s, _ := b.store()
	b.create(s, definition("1", 0))
	dead := b.term(s)
	require.NoError(t, dead.client.BeginTransaction())
	require.NoError(t, dead.client.ProduceSync(t.Context(), progressRecord(b.topics.Jobs(), "job_1", Progress{State: StateRunning, Done: 9})).FirstErr())
	next := b.term(s)
	require.NoError(t, next.Save(t.Context(), "job_1", Progress{State: StateRunning, Done: 10}))
	j, err := s.Get(t.Context(), "acme", "job_1")
	require.NoError(t, err)
	require.EqualValues(t, 10, j.Progress.Done)
}

func TestTerm_Forget(t *testing.T) {
	b := newBench(t)
	s, _ := b.store()
	now := time.Now()
	for id, p := range map[string]Progress{
		"old":     {State: StateFinished, Finished: now.Add(-Retention - time.Hour)},
		"recent":  {State: StateFinished, Finished: now.Add(-Retention + time.Hour)},
		"running": {State: StateRunning, Updated: now.Add(-2 * Retention)},
	} {
		b.create(s, definition(id, 0))
		_, err := s.Cancel(t.Context(), "acme", IDPrefix+id)
		require.NoError(t, err)
		require.NoError(t, b.client.ProduceSync(t.Context(), progressRecord(b.topics.Jobs(), IDPrefix+id, p)).FirstErr())
	}
	_, err := s.List(t.Context(), Query{Tenant: "acme"}) // the hand-written progress is known
	require.NoError(t, err)
	require.True(t, s.Outdated(now))
	require.NoError(t, b.term(s).Forget(t.Context(), now))
	require.False(t, s.Outdated(now))
	for range 2 {
		page, err := s.List(t.Context(), Query{Tenant: "acme"})
		require.NoError(t, err)
		require.Len(t, page.Items, 2)
		// Nothing of it is left, so that a job of the same id begins anew.
		j := b.create(s, definition("old", time.Hour))
		require.Equal(t, StateQueued, j.State())
		_, err = s.Cancel(t.Context(), "acme", "job_old")
		require.NoError(t, err)
		require.NoError(t, b.client.ProduceSync(t.Context(), tombstones(b.topics.Jobs(), "job_old")...).FirstErr())
	}
}

func TestBoard_OutdatedBoundsTheFinished(t *testing.T) {
	b := newBoard()
	now := time.Now()
	for i := range 10 {
		id := fmt.Sprintf("job_%d", i)
		d := definition(fmt.Sprint(i), -time.Duration(i)*time.Minute)
		b.apply([]change{{id: id, part: partDefinition, definition: &d}, {id: id, part: partProgress, progress: &Progress{State: StateFinished, Finished: now}}}, int64(i))
	}
	require.Equal(t, []string{"job_3", "job_2", "job_1", "job_0"}, b.outdated(now.Add(-time.Hour), 6), "the oldest go first")
}

func FuzzDecode(f *testing.F) {
	for _, rec := range []*kgo.Record{
		definitionRecord("t", definition("1", 0)), progressRecord("t", "job_1", Progress{State: StateRunning}),
		cancelRequest("t", "job_1", created), tombstones("t", "job_1")[1], {Key: []byte("origin/relay"), Value: []byte("{}")},
	} {
		f.Add(rec.Key, rec.Value)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		c, err := decode(&kgo.Record{Key: key, Value: value})
		if err != nil {
			require.Zero(t, c)
			return
		}
		newBoard().apply([]change{c}, 1)
		if c.definition != nil {
			again, err := decode(definitionRecord("t", *c.definition))
			require.NoError(t, err)
			require.Equal(t, c.definition.ID, again.id)
		}
	})
}
