package divert

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"eventrelay/relay"
)

// expiring makes a store whose retention is an hour and that remembers what it announced.
func (b *bench) expiring(announced map[string]int) (*Store, *sweeper) {
	s, w := b.tailed(func(o *Options) {
		o.Retention, o.ExpireEvery = time.Hour, time.Nanosecond
		o.OnExpired = func(uid string, count int, oldest time.Time) {
			announced[uid] += count
			require.True(b.t, oldest.Before(time.Now().Add(-time.Hour)))
		}
	})
	return s, w
}

func TestExpire_RemovesOnlyTheOld(t *testing.T) {
	b := newBench(t)
	announced := map[string]int{}
	s, w := b.expiring(announced)
	old, recent := time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)
	b.active("wh_1")
	ofOne := b.fill("wh_1", 600, exhausted, old) // more than one look
	b.fill("wh_2", 5, suspended, old)            // deleted, or never drained: old all the same
	b.fill("wh_1b", 7, exhausted, recent)
	foreign := make([]*relay.Delivery, 3)
	for i := range foreign {
		foreign[i] = delivery("wh_3", i)
		foreign[i].Event.Tenant = "acme2"
		b.produce(divertedRecord(b.topics.Diverted(), foreign[i], Why{Reason: "of another version"}, old))
	}
	_, err := s.ResendOne(t.Context(), "acme", "wh_1", ofOne[4].ID)
	require.NoError(t, err)

	b.swept(w)
	left := b.listed(s, "wh_1")
	require.Len(t, left, 1, "what is being resent is left alone")
	require.Equal(t, ofOne[4].ID, left[0].DeliveryID)
	require.Empty(t, b.listed(s, "wh_2"))
	require.Len(t, b.listed(s, "wh_1b"), 7)
	page, err := s.List(t.Context(), Query{Tenant: "acme2"})
	require.NoError(t, err)
	require.Empty(t, page.Items)
	require.Equal(t, map[string]int{"wh_1": 599, "wh_2": 5, "wh_3": 3}, announced)
	require.EqualValues(t, 599, counted(t, s.metrics.expired.WithLabelValues("exhausted")))
	require.EqualValues(t, 5, counted(t, s.metrics.expired.WithLabelValues("suspended")))
	require.EqualValues(t, 3, counted(t, s.metrics.expired.WithLabelValues("other")))

	b.swept(w)
	require.Equal(t, 599, announced["wh_1"], "each is announced once")
	// The resend fails: diverted anew, and so not old any more.
	r := b.resends.deliveries()[0]
	put(t, s, r, exhausted)
	b.swept(w)
	require.Len(t, b.listed(s, "wh_1"), 1)
}

// An index that cannot be confirmed makes nothing expire, and nothing expires twice after it was lost.
func TestExpire_LostIndex(t *testing.T) {
	b := newBench(t)
	announced := map[string]int{}
	s, w := b.expiring(announced)
	b.fill("wh_1", 20, exhausted, time.Now().Add(-2*time.Hour))
	b.swept(w)
	b.mini.FlushAll()
	require.Eventually(t, func() bool { _, err := s.List(t.Context(), Query{Tenant: "acme"}); return err == nil }, 5*time.Second, time.Millisecond)
	b.swept(w)
	require.Equal(t, map[string]int{"wh_1": 20}, announced)
}

func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	require.NoError(t, c.Write(&m))
	return m.GetCounter().GetValue()
}
