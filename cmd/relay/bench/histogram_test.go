package bench

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHistogram_Quantiles(t *testing.T) {
	var h histogram
	require.Equal(t, []time.Duration{0, 0}, h.quantiles(0.5, 0.99), "of nothing")
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	got := h.quantiles(0.5, 0.9, 0.99, 0.999, 1)
	for i, want := range []time.Duration{501, 901, 991, 1000, 1000} {
		require.InEpsilon(t, float64(want*time.Millisecond), float64(got[i]), 0.02)
	}
	h.reset()
	require.Zero(t, h.quantiles(1)[0])
}

// Buckets are in order, without gaps, and narrow.
func TestHistogram_Buckets(t *testing.T) {
	for range 100_000 {
		d := time.Duration(rand.Int64N(1 << rand.IntN(39)))
		i := bucketOf(d)
		require.LessOrEqual(t, d, bucketTop(i))
		if i > 0 {
			require.Greater(t, d, bucketTop(i-1))
		}
		require.LessOrEqual(t, float64(bucketTop(i)-d), float64(d)/subBuckets+1)
	}
	require.Equal(t, buckets-1, bucketOf(1<<62), "what is too long is in the last one")
	require.Zero(t, bucketOf(-1), "clocks may step back")
}
