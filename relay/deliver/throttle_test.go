package deliver

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/breaker"
)

// TestDispatcher_Throttle: what a receiver asks for with 429 or 503 lengthens the schedule, within a day, holds the
// siblings, and does not count against the breaker; 502 and 504 do count.
func TestDispatcher_Throttle(t *testing.T) {
	inTenMinutes := time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat)
	anHourAgo := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	const scheduled = 60 * time.Second
	for name, c := range map[string]struct {
		status int
		hints  []string
		want   time.Duration // of the retry, without jitter
		holds  bool
		trips  bool
	}{
		"429, less than the schedule": {429, []string{"5"}, scheduled, true, false},
		"429, more than the schedule": {429, []string{"600"}, 600 * time.Second, true, false},
		"429, a date":                 {429, []string{inTenMinutes}, 600 * time.Second, true, false},
		"429, a date that is past":    {429, []string{anHourAgo}, scheduled, false, false},
		"429, negative":               {429, []string{"-1"}, scheduled, false, false},
		"429, thirty years":           {429, []string{"1000000000"}, 24 * time.Hour, true, false},
		"429, an exponent":            {429, []string{"1e9"}, scheduled, false, false},
		"429, a fraction":             {429, []string{"1.5"}, scheduled, false, false},
		"429, junk":                   {429, []string{"in a while"}, scheduled, false, false},
		"429, two of them":            {429, []string{"5", "600"}, 600 * time.Second, true, false},
		"429, none":                   {429, nil, scheduled, false, false},
		"503, more than the schedule": {503, []string{"600"}, 600 * time.Second, true, false},
		"503, none":                   {503, nil, scheduled, false, true},
		"503, junk":                   {503, []string{"1.5"}, scheduled, false, true},
		"502 does not say when":       {502, []string{"600"}, scheduled, false, true},
		"504 does not say when":       {504, []string{"600"}, scheduled, false, true},
		"500 does not say when":       {500, []string{"600"}, scheduled, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			var header []string
			for _, hint := range c.hints {
				header = append(header, "Retry-After", hint)
			}
			server := answering(t, c.status, header...)
			b := newBench(t, nil)
			b.webhook("w", server.URL, func(w *catalog.Webhook) {
				w.Retry = catalog.Retry{Custom: []time.Duration{scheduled, scheduled}}
				w.Delivery.Concurrency = 1
			})
			b.submit("w", func(task *Task) { task.Delivery.Deadline = time.Now().Add(48 * time.Hour) })
			b.await(t, 1)
			require.Len(t, b.waits, 1)
			require.InDelta(t, c.want.Seconds(), b.waits[0].Seconds(), 0.1*scheduled.Seconds()+2)
			require.LessOrEqual(t, b.waits[0], 24*time.Hour)

			l := b.d.laneOf("w/w")
			if c.holds {
				sibling := b.submit("w", nil)
				b.await(t, 2)
				require.Zero(t, sibling.Delivery.Attempts, "held")
				require.Equal(t, breaker.Closed, l.breaker.State().State)
				require.Zero(t, l.breaker.State().Failures)
				return
			}
			for range 4 {
				b.submit("w", nil)
			}
			b.await(t, 5)
			require.Equal(t, c.trips, l.breaker.State().State == breaker.Open)
		})
	}
}
