package divert

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pages lists everything, page by page, and calls between after each.
func pages(t *testing.T, s *Store, q Query, between func()) []Entry {
	t.Helper()
	var all []Entry
	for {
		page, err := s.List(t.Context(), q)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Items), q.Limit)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		q.Cursor = page.Next
		between()
	}
}

func TestStore_ListNewestFirstAndStable(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	start := time.Now().Add(-time.Hour)
	all := b.fill("wh_1", 100, exhausted, start)
	fresh, gone := 100, map[string]bool{}
	got := pages(t, s, Query{Tenant: "acme", UID: "wh_1", Limit: 7}, func() {
		put(t, s, delivery("wh_1", fresh), exhausted) // newer than the page: not in this list
		fresh++
		victim := all[fresh-100] // old, not yet listed: not any more
		require.NoError(t, s.Delete(t.Context(), "acme", "wh_1", victim.ID))
		gone[victim.ID] = true
	})
	seen := map[string]bool{}
	for i, e := range got {
		require.False(t, seen[e.DeliveryID], "listed twice")
		seen[e.DeliveryID] = true
		if i > 0 {
			require.False(t, e.DivertedAt.After(got[i-1].DivertedAt), "newest first")
		}
	}
	for _, d := range all {
		require.True(t, seen[d.ID] || gone[d.ID], "an entry that was listed throughout is missing")
	}
}

func TestStore_ListManyOfOneMillisecond(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	now := time.Now()
	for i := range 25 {
		b.produce(divertedRecord(b.topics.Diverted(), delivery("wh_1", i), exhausted, now))
	}
	require.Len(t, pages(t, s, Query{Tenant: "acme", UID: "wh_1", Limit: 4}, func() {}), 25)
}

// The tenant's list merges the partitions and holds other tenants' nowhere.
func TestStore_ListOfTenant(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	start := time.Now().Add(-time.Hour)
	for i := range 10 {
		b.fill(fmt.Sprintf("wh_%d", i), 10, exhausted, start.Add(time.Duration(i)*3*time.Millisecond))
	}
	foreign := delivery("wh_x", 1)
	foreign.Event.Tenant = "acme2"
	put(t, s, foreign, exhausted)
	got := pages(t, s, Query{Tenant: "acme", Limit: 9}, func() {})
	require.Len(t, got, 100)
	for i := 1; i < len(got); i++ {
		require.False(t, got[i].DivertedAt.After(got[i-1].DivertedAt), "newest first")
	}
	page, err := s.List(t.Context(), Query{Tenant: "acme2"})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	require.EqualValues(t, 1, page.Total)
}

func TestStore_ListFilters(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	start := time.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())
	b.fill("wh_1", 40, exhausted, start)
	put(t, s, delivery("wh_1", 40), Why{Reason: ReasonFormat})
	for name, c := range map[string]struct {
		q    Query
		want int
	}{
		"type":        {Query{Type: "debt.paid"}, 41},
		"other type":  {Query{Type: "debt"}, 0},
		"reason":      {Query{Reason: "format"}, 1},
		"transaction": {Query{TransactionID: "tx-1"}, 20},
		"event":       {Query{EventID: "evt-7"}, 1},
		"from":        {Query{From: start.Add(30 * time.Millisecond)}, 11},
		"to":          {Query{To: start.Add(30 * time.Millisecond)}, 30},
		"range":       {Query{From: start.Add(10 * time.Millisecond), To: start.Add(30 * time.Millisecond)}, 20},
		"together":    {Query{To: start.Add(30 * time.Millisecond), TransactionID: "tx-1", EventID: "evt-7"}, 1},
	} {
		c.q.Tenant, c.q.UID, c.q.Limit = "acme", "wh_1", 6
		require.Len(t, pages(t, s, c.q, func() {}), c.want, name)
	}
}

func TestStore_ListBadCursor(t *testing.T) {
	b := newBench(t)
	s := b.store()
	_, err := s.List(t.Context(), Query{Tenant: "acme", Cursor: "%"})
	require.ErrorIs(t, err, ErrBadCursor)
	_, err = decodeCursor(encodeCursor("(a" + separator + "b" + separator + "c"))
	require.ErrorIs(t, err, ErrBadCursor, "a cursor cannot carry a separator")
}

// A page of ten thousand must not cost as much as reading them all. miniredis sorts the whole set for each page, so the
// bound is far from what Redis needs.
func TestStore_ListPageOfTenThousand(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	b.fill("wh_1", 10_000, exhausted, time.Now().Add(-time.Hour))
	require.Eventually(t, func() bool {
		page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
		return err == nil && page.Total == 10_000
	}, 10*time.Second, 10*time.Millisecond)
	began := time.Now()
	_, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
	require.NoError(t, err)
	require.Less(t, time.Since(began), time.Second)
}
