package divert

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	puts       *prometheus.CounterVec // by reason
	resolved   prometheus.Counter
	resends    *prometheus.CounterVec // by cause
	badRecords prometheus.Counter
	superseded prometheus.Counter
	rebuilds   prometheus.Counter
	barriers   prometheus.Counter
	expired    *prometheus.CounterVec // by reason
	jobs       *prometheus.CounterVec // by kind and state, ended ones
	lag        *prometheus.GaugeVec   // by partition
}

// Who asked for a resend.
const (
	causeOperator = "operator"
	causeSweep    = "sweep"
	causeJob      = "job"
)

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		puts:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_diverted_total", Help: "Deliveries diverted, by reason."}, []string{"reason"}),
		resolved:   counter("relay_diverted_resolved_total", "Diverted events removed because their resend settled."),
		resends:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_diverted_resends_total", Help: "Diverted events taken to the retry topics, by who asked."}, []string{"cause"}),
		badRecords: counter("relay_diverted_bad_records_total", "Records of the diverted topic that could not be read, and diverted keys that could not."),
		superseded: counter("relay_diverted_superseded_total", "Older generations that a crash had left and that were removed."),
		rebuilds:   counter("relay_diverted_index_rebuilds_total", "Times that the index was begun anew from the first record."),
		expired:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_diverted_expired_total", Help: "Diverted events removed because they were older than divert.retention, by the reason of their diversion."}, []string{"reason"}),
		jobs:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_diverted_jobs_total", Help: "Bulk resends and deletions that ended, by how."}, []string{"kind", "state"}),
		barriers:   counter("relay_diverted_barriers_total", "Records written only to give a partition a last record."),
		lag:        prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "relay_diverted_index_lag", Help: "Offsets between the index and the end of the partition."}, []string{"partition"}),
	}
	for _, reason := range Reasons {
		m.puts.WithLabelValues(string(reason))
		m.expired.WithLabelValues(string(reason))
	}
	for _, cause := range []string{causeOperator, causeSweep, causeJob} {
		m.resends.WithLabelValues(cause)
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.puts, m.resolved, m.resends, m.badRecords, m.superseded, m.rebuilds, m.barriers, m.expired, m.jobs, m.lag} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) put(reason Reason) { m.puts.WithLabelValues(bounded(reason)).Inc() }

func (m *metrics) expire(reason Reason) { m.expired.WithLabelValues(bounded(reason)).Inc() }

// bounded is the label of a reason: one that is not listed counts as "other".
func bounded(reason Reason) string {
	if slices.Contains(Reasons, reason) {
		return string(reason)
	}
	return "other"
}

func (m *metrics) setLag(partition int32, offsets int64) {
	m.lag.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(offsets))
}
