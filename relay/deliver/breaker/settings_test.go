package breaker

import (
	"math"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"
)

func TestSettings_Defaults(t *testing.T) {
	require.Equal(t, Settings{
		OpenBase: 10 * time.Second, OpenMax: 10 * time.Minute, Consecutive: 5, MinRequests: 10, FailureRatio: 0.5, Window: time.Minute,
	}, Settings{}.withDefaults())
	require.Equal(t, 3*time.Second, Settings{OpenMax: 3 * time.Second}.withDefaults().OpenBase, "the bound bounds the first opening too")
}

func TestSettings_Trip(t *testing.T) {
	tests := map[string]struct {
		streak            int
		successes, failed uint32
		want              Reason
	}{
		"first failure":               {1, 0, 1, ReasonNone},
		"four in a row":               {4, 0, 4, ReasonNone},
		"five in a row":               {5, 0, 5, ReasonConsecutive},
		"five, forgotten by window":   {5, 0, 1, ReasonConsecutive},
		"row wins over ratio":         {9, 1, 9, ReasonConsecutive},
		"half of nine":                {1, 4, 5, ReasonNone},
		"half of ten":                 {1, 5, 5, ReasonRatio},
		"less than half of ten":       {1, 6, 4, ReasonNone},
		"half of eleven, rounded off": {1, 6, 5, ReasonNone},
		"half of many":                {1, math.MaxInt32, math.MaxInt32, ReasonRatio},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			window := gobreaker.Counts{Requests: 1_000, TotalExclusions: 900, TotalSuccesses: tc.successes, TotalFailures: tc.failed}
			require.Equal(t, tc.want, Settings{}.withDefaults().trip(tc.streak, window))
		})
	}
}

func TestSettings_OpenFor(t *testing.T) {
	s := Settings{}.withDefaults()
	tests := []struct {
		opens  int
		jitter float64
		want   time.Duration
	}{
		{1, 0, 10 * time.Second},
		{1, 1, 11 * time.Second},
		{2, 0.5, 21 * time.Second},
		{6, 0, 320 * time.Second},
		{7, 0, 10 * time.Minute},
		{7, 1, 11 * time.Minute},
		{math.MaxInt, 0, 10 * time.Minute},
	}
	for _, tc := range tests {
		require.Equal(t, tc.want, s.openFor(tc.opens, tc.jitter), "opening %d with jitter %v", tc.opens, tc.jitter)
	}
	dev := Settings{OpenMax: 15 * time.Second}.withDefaults()
	require.Equal(t, 10*time.Second, dev.openFor(1, 0))
	require.Equal(t, 15*time.Second, dev.openFor(2, 0))
	huge := Settings{OpenMax: math.MaxInt64 / 2}.withDefaults()
	require.Equal(t, huge.OpenMax, huge.openFor(100, 0), "doubling does not overflow")
}

func TestBreaker_JitterOnlyLengthens(t *testing.T) {
	distinct := map[time.Duration]bool{}
	for range 100 {
		b := New(Settings{})
		tryN(t, b, 5, Failed)
		s := b.State()
		wait := s.Until.Sub(s.Since)
		require.GreaterOrEqual(t, wait, 10*time.Second)
		require.LessOrEqual(t, wait, 11*time.Second)
		distinct[wait] = true
	}
	require.Greater(t, len(distinct), 50)
}
