package registry

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the registry's counters. Labels take only values that this package names.
type metrics struct {
	records       *prometheus.CounterVec // by result: applied, ignored, quarantined
	writes        *prometheus.CounterVec // by result: committed, unchanged, refused, failed
	writeRetries  prometheus.Counter
	barriers      prometheus.Counter
	cacheFailures prometheus.Counter
	cacheRebuilds *prometheus.CounterVec // by result: done, failed
}

const (
	resultApplied     = "applied"
	resultIgnored     = "ignored"
	resultQuarantined = "quarantined"
	resultCommitted   = "committed"
	resultUnchanged   = "unchanged"
	resultRefused     = "refused"
	resultFailed      = "failed"
	resultDone        = "done"
)

func newMetrics(registerer prometheus.Registerer, r *Registry) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_registry_" + name, Help: help})
	}
	byResult := func(name, help string, results ...string) *prometheus.CounterVec {
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_registry_" + name, Help: help}, []string{"result"})
		for _, result := range results {
			vec.WithLabelValues(result)
		}
		return vec
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "relay_registry_" + name, Help: help}, value)
	}
	m := &metrics{
		records:       byResult("records_total", "Records of the webhooks topic read.", resultApplied, resultIgnored, resultQuarantined),
		writes:        byResult("writes_total", "Writes to the webhooks topic.", resultCommitted, resultUnchanged, resultRefused, resultFailed),
		writeRetries:  counter("write_retries_total", "Writes begun anew after another process took over or an unknown outcome."),
		barriers:      counter("barriers_total", "Barrier records written to make the end of the webhooks topic visible."),
		cacheFailures: counter("cache_failures_total", "Requests of the webhooks cache that Redis did not answer."),
		cacheRebuilds: byResult("cache_rebuilds_total", "Rebuilds of the webhooks cache in Redis.", resultDone, resultFailed),
	}
	if registerer == nil {
		return m, nil
	}
	collectors := []prometheus.Collector{
		m.records, m.writes, m.writeRetries, m.barriers, m.cacheFailures, m.cacheRebuilds,
		gauge("webhooks", "Webhooks in the snapshot.", func() float64 { return float64(r.Count()) }),
		gauge("applied_offset", "Next offset of the webhooks topic to apply.", func() float64 { return float64(r.Applied()) }),
		gauge("end_offset", "Latest end offset that Kafka was asked for.", func() float64 { return float64(r.Status().End) }),
		gauge("quarantined", "Records that could not be applied.", func() float64 { return float64(r.Status().Quarantined) }),
		gauge("records_under_old_key", "Records sealed with another master key than the first; -1 while they are being counted.", func() float64 {
			stale, known := r.stale.count()
			if !known || !r.isComplete() {
				return -1
			}
			return float64(stale)
		}),
		gauge("fresh", "1 while the snapshot is confirmed up to date.", func() float64 {
			if r.Fresh() {
				return 1
			}
			return 0
		}),
		gauge("confirmed_age_seconds", "Age of the latest confirmation; -1 before the first.", func() float64 {
			at := r.Status().ConfirmedAt
			if at.IsZero() {
				return -1
			}
			return time.Since(at).Seconds()
		}),
	}
	var errs []error
	for _, c := range collectors {
		errs = append(errs, registerer.Register(c))
	}
	return m, errors.Join(errs...)
}
