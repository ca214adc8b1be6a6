package registry

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// all pages through the order.
func (o *order) all(limit int) []place {
	var all []place
	from, more := place{created: minCreated}, true
	for more {
		var page []place
		if page, more = o.after(from, limit); len(page) > 0 {
			from = page[len(page)-1]
		}
		all = append(all, page...)
	}
	return all
}

func TestOrder_LikeASortedSlice(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var (
		o     order
		model []place
	)
	for range 5000 {
		p := place{created: random.Int64N(50), uid: strconv.Itoa(random.IntN(200))}
		at, found := slices.BinarySearchFunc(model, p, place.compare)
		if random.IntN(3) > 0 {
			o.insert(p)
			if !found {
				model = slices.Insert(model, at, p)
			}
		} else {
			o.remove(p)
			if found {
				model = slices.Delete(model, at, at+1)
			}
		}
	}
	require.Greater(t, len(o.chunks), 1, "several chunks are in play")
	require.Equal(t, model, o.all(7))
	require.Equal(t, model, o.all(len(model)))
	for _, p := range model {
		o.remove(p)
	}
	require.Empty(t, o.chunks)
	require.Empty(t, o.all(3))
}

func TestCursor(t *testing.T) {
	for _, created := range []time.Time{{}, time.Unix(0, 0), time.Unix(0, -1), time.Now()} {
		p := placeOf(created, "wh_1.x")
		parsed, ok := parseCursor(p.cursor())
		require.True(t, ok)
		require.Equal(t, p, parsed)
	}
	for _, bad := range []string{"", "x", ".", "1.", "zz.wh", "-1.wh"} {
		_, ok := parseCursor(bad)
		require.False(t, ok, bad)
	}
}
