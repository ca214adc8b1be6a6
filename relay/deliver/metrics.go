package deliver

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"eventrelay/relay/deliver/outbound"
)

// metrics of deliveries. Labels are enums: no webhook, tenant or event type, whose number has no bound.
type metrics struct {
	outcomes *prometheus.CounterVec
	attempts *prometheus.CounterVec
	latency  prometheus.Histogram
	alerts   prometheus.Counter
}

func newMetrics(d *Dispatcher, reg prometheus.Registerer) *metrics {
	m := &metrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_deliveries_total", Help: "What became of deliveries; one that is retried counts once for each outcome."}, []string{"outcome"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_attempts_total", Help: "Attempts by result: a status class or an error class."}, []string{"result"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "relay_attempt_duration_seconds", Help: "Duration of attempts, from dial to the end of the response.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 13)}), // 0.5 ms to 30 s
	}
	m.alerts = prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_alerts_total", Help: "Failed deliveries that an alert was written for; alerts are coalesced when they fall due."})
	for _, a := range []Action{ActionSettle, ActionRetry, ActionDivert, ActionSuspend, ActionDrop, ActionCancel, ActionHandOff, ActionPostpone} {
		m.outcomes.WithLabelValues(string(a))
	}
	lanes := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "relay_lanes", Help: "Endpoints with a lane: in use within the last minute, or with a breaker that is not closed."},
		func() float64 {
			d.lanesMu.RLock()
			defer d.lanesMu.RUnlock()
			return float64(len(d.lanes))
		})
	used := func(part string, value *atomic.Int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "relay_memory_used_bytes", Help: "Memory that attempts under way are counted for, by its share (relay_memory_share_bytes).",
			ConstLabels: prometheus.Labels{"part": part}}, func() float64 { return float64(value.Load()) })
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "relay_memory_waiting_attempts", Help: "Attempts that wait for memory."},
		func() float64 { return float64(d.room.waiting.Load()) })
	reg.MustRegister(used("attempts", &d.room.attempts.used), used("bodies", &d.room.bodies.used), waiting)
	reg.MustRegister(m.outcomes, m.attempts, m.latency, m.alerts, lanes)
	return m
}

func (m *metrics) outcome(a Action) { m.outcomes.WithLabelValues(string(a)).Inc() }

func (m *metrics) attempt(res outbound.Result) {
	m.latency.Observe(res.Latency.Seconds())
	result := string(res.Class)
	if result == "" {
		result = string([]byte{'0' + byte(res.Status/100%10), 'x', 'x'})
	}
	m.attempts.WithLabelValues(result).Inc()
}
