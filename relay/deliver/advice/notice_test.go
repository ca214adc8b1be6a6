package advice

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/relay/deliver/breaker"
)

func TestDecodeNotice(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"open":                {`{"v":1,"from":"a","endpoint":"w:wh_1","state":"open","waitMs":10000,"opens":2}`, true},
		"half-open":           {`{"v":1,"from":"a","endpoint":"w:wh_1:north/2","state":"half-open"}`, true},
		"closed":              {`{"v":1,"from":"a","endpoint":"i:in_1","state":"closed"}`, true},
		"pause":               {`{"v":1,"from":"a","endpoint":"i:in_1","holdMs":86400000}`, true},
		"from the future":     {`{"v":2,"from":"a","endpoint":"i:in_1","holdMs":1}`, false},
		"longer than a day":   {`{"v":1,"endpoint":"i:in_1","holdMs":86400001}`, false},
		"negative wait":       {`{"v":1,"endpoint":"w:1","state":"open","waitMs":-1}`, false},
		"overflow":            {`{"v":1,"endpoint":"w:1","state":"open","waitMs":1e300}`, false},
		"negative openings":   {`{"v":1,"endpoint":"w:1","state":"open","opens":-1}`, false},
		"unknown state":       {`{"v":1,"endpoint":"w:1","state":"ajar"}`, false},
		"nothing":             {`{"v":1,"endpoint":"w:1"}`, false},
		"two things":          {`{"v":1,"endpoint":"w:1","state":"open","holdMs":1}`, false},
		"no endpoint":         {`{"v":1,"state":"open"}`, false},
		"endpoint of nothing": {`{"v":1,"endpoint":"wh_1","state":"open"}`, false},
		"not JSON":            {"open", false},
		"empty":               {"", false},
		"huge":                {`{"v":1,"endpoint":"w:` + strings.Repeat("x", maxNoticeBytes) + `","state":"open"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			n, ref, err := decodeNotice(c.text)
			if !c.ok {
				require.ErrorIs(t, err, errNotice)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "a", n.From)
			require.NotEmpty(t, ref.Key())
		})
	}
}

func FuzzDecodeNotice(f *testing.F) {
	f.Add(`{"v":1,"from":"a","endpoint":"w:wh_1","state":"open","waitMs":10000,"opens":2}`)
	f.Fuzz(func(t *testing.T, text string) {
		if n, _, err := decodeNotice(text); err == nil {
			require.LessOrEqual(t, n.WaitMS, maxNoticeWait.Milliseconds())
			require.GreaterOrEqual(t, n.WaitMS, int64(0))
			require.LessOrEqual(t, n.HoldMS, maxNoticeWait.Milliseconds())
		}
	})
}

func FuzzDecodeStatus(f *testing.F) {
	f.Add("w:1", `{"endpoint":"w:1","state":"open"}`)
	f.Fuzz(func(t *testing.T, field, text string) {
		if s, ok := decodeStatus(field, text); ok {
			require.Equal(t, field, s.Endpoint)
		}
	})
}

func TestTold(t *testing.T) {
	for reason, want := range map[breaker.Reason]bool{
		breaker.ReasonConsecutive: true, breaker.ReasonRatio: true, breaker.ReasonProbe: true, breaker.ReasonProbeFailed: true,
		breaker.ReasonProbeAlive: true, breaker.ReasonAdvised: false, breaker.ReasonForced: false, breaker.ReasonClosed: false, breaker.ReasonReset: false,
	} {
		require.Equal(t, want, told(breaker.Change{Reason: reason}), reason)
		require.False(t, told(breaker.Change{Reason: reason, Forced: breaker.Closed}))
	}
}

func TestDraft_WaitsShrinkUntilTheyAreSent(t *testing.T) {
	now := time.Now()
	d := draft{state: breaker.Open, until: now.Add(10 * time.Second), opens: 2}
	require.Equal(t, notice{Version: 1, From: "a", Endpoint: "w:1", State: breaker.Open, WaitMS: 7000, Opens: 2}, d.notice("a", "w:1", now.Add(3*time.Second)))
	require.Zero(t, d.notice("a", "w:1", now.Add(time.Hour)).WaitMS)
	hold := draft{until: now.Add(1000 * time.Hour)}
	require.Equal(t, maxNoticeWait.Milliseconds(), hold.notice("a", "w:1", now).HoldMS)
}
