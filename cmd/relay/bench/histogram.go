package bench

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// subBuckets of each power of two: a value is known to 1/64, 1.6 %.
	subBits    = 6
	subBuckets = 1 << subBits
	// buckets reach to 2^40 ns, 18 minutes.
	buckets = (40 - subBits + 1) * subBuckets
)

// histogram counts durations. All methods may be called concurrently; the zero value is empty.
type histogram struct{ counts [buckets]atomic.Uint32 }

func (h *histogram) add(d time.Duration) { h.counts[bucketOf(d)].Add(1) }

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return min((shift+1)*subBuckets+int(v>>shift)-subBuckets, buckets-1)
}

// bucketTop is the largest duration that falls into bucket i.
func bucketTop(i int) time.Duration {
	if i < 2*subBuckets {
		return time.Duration(i)
	}
	shift := i/subBuckets - 1
	return time.Duration((uint64(i%subBuckets+subBuckets+1) << shift) - 1)
}

// quantiles gives the duration below or at which each share of the values lies; zeros when there are none.
func (h *histogram) quantiles(shares ...float64) []time.Duration {
	var counts [buckets]uint64
	var total uint64
	for i := range counts {
		counts[i] = uint64(h.counts[i].Load())
		total += counts[i]
	}
	result := make([]time.Duration, len(shares))
	if total == 0 {
		return result
	}
	for k, share := range shares {
		rank, seen := uint64(share*float64(total)), uint64(0)
		for i, n := range counts {
			if seen += n; seen > rank || seen == total {
				result[k] = bucketTop(i)
				break
			}
		}
	}
	return result
}

func (h *histogram) reset() {
	for i := range h.counts {
		h.counts[i].Store(0)
	}
}
