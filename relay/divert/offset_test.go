package divert

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStore_ListAt(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	b.active("wh_1")
	var ids []string // the latest first, as the index orders them
	for i := range 7 {
		put(t, s, delivery("wh_1", i), exhausted)
	}
	all, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
	require.NoError(t, err)
	for _, e := range all.Items {
		ids = append(ids, e.DeliveryID)
	}
	require.Len(t, ids, 7)

	for _, tc := range []struct {
		offset, limit int
		want          []string
	}{
		{0, 3, ids[:3]}, {3, 3, ids[3:6]}, {6, 3, ids[6:]}, {7, 3, nil}, {100, 3, nil}, {0, 500, ids}, {-1, 0, ids[:1]},
	} {
		page, err := s.ListAt(t.Context(), "acme", "wh_1", tc.offset, tc.limit)
		require.NoError(t, err)
		var got []string
		for _, e := range page.Items {
			got = append(got, e.DeliveryID)
			require.EqualValues(t, 7, page.Total)
		}
		require.Equal(t, tc.want, got, "offset %d limit %d", tc.offset, tc.limit)
	}
	for _, offset := range []int{0, 100} {
		page, err := s.ListAt(t.Context(), "other", "wh_1", offset, 10)
		require.NoError(t, err)
		require.Zero(t, page, "another tenant's")
	}
	b.mini.Close()
	_, err = s.ListAt(t.Context(), "acme", "wh_1", 0, 10)
	require.ErrorIs(t, err, ErrIndexBehind)
}

func TestStore_Read(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	b.active("wh_1")
	d := delivery("wh_1", 1)
	put(t, s, d, exhausted)
	page, err := s.ListAt(t.Context(), "acme", "wh_1", 0, 1)
	require.NoError(t, err)
	require.Len(t, page.Items, 1)

	detail, err := s.Read(t.Context(), page.Items[0])
	require.NoError(t, err)
	require.Equal(t, d.Event, detail.Delivery.Event)
	require.Equal(t, page.Items[0], detail.Entry)

	stale := page.Items[0]
	stale.Generation++
	_, err = s.Read(t.Context(), stale)
	require.ErrorIs(t, err, ErrNotFound, "another record stands there than the entry says")
}
