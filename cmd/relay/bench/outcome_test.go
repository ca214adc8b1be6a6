package bench

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFigure_Verdict(t *testing.T) {
	for want, f := range map[string]Figure{
		"":                    figure("a", unitNanos, 1),
		"target ≤ 5: ok":      figure("a", unitMillis, 1, 5, 9).atMost(5),
		"target ≤ 4: missed":  figure("a", unitMillis, 5).atMost(4),
		"target ≥ 80: ok":     figure("a", unitShare, 80).atLeast(80),
		"target ≥ 80: missed": figure("a", unitShare, 79.9, 70).atLeast(80),
	} {
		require.Equal(t, want, f.verdict())
	}
}

func TestMedian(t *testing.T) {
	require.Zero(t, median[float64](nil))
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 2, median([]int{4, 1, 2, 3}), "the lower one of the middle two")
}

func TestNumber(t *testing.T) {
	for want, v := range map[string]float64{"0": 0, "3": 3, "12345": 12345.4, "9.88": 9.876, "98.8": 98.76, "0.123": 0.12345, "-4.50": -4.5, "-0.123": -0.1234} {
		require.Equal(t, want, number(v))
	}
}

func TestOutcome_Print(t *testing.T) {
	m := Measurement{Rate: 1000, CPU: 10 * time.Microsecond, RSS: 3 << 20, Heap: 1 << 20, Connections: 64, Deliveries: 10, Lost: 2,
		Latency: []time.Duration{time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond, 4 * time.Millisecond}}
	faster := m
	faster.Rate, faster.Lost = 3000, 0
	o := Outcome{Scenario: "drain", Proves: "it works", Rows: []Row{{Name: "relay", Rounds: []Measurement{m, faster}}}}
	o.Figures = accounted(o.Rows[0])
	require.Equal(t, 2, o.lost())

	var text bytes.Buffer
	r := newReport(&text, false)
	require.NoError(t, r.add(o))
	require.NoError(t, r.end())
	require.Contains(t, text.String(), "drain: it works")
	require.Contains(t, text.String(), "1000 (1000 to 3000)")
	require.Regexp(t, `lost +2 +target ≤ 0: missed`, text.String())

	text.Reset()
	r = newReport(&text, true)
	require.NoError(t, r.add(o))
	require.Empty(t, text.String(), "JSON is one document, at the end")
	require.NoError(t, r.end())
	var read struct{ Scenarios []Outcome }
	require.NoError(t, json.Unmarshal(text.Bytes(), &read))
	require.Equal(t, []Outcome{o}, read.Scenarios)
}

func TestChoose(t *testing.T) {
	all, err := choose(nil)
	require.NoError(t, err)
	require.Len(t, all, len(Scenarios()))
	chosen, err := choose([]string{"steady", "drain"})
	require.NoError(t, err)
	require.Equal(t, "steady", chosen[0].name, "in the order that was asked for")
	_, err = choose([]string{"drain", "nothing"})
	require.ErrorIs(t, err, ErrUnknownScenario)
}
