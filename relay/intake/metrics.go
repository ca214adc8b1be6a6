package intake

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type groupMetrics struct {
	fetchErrors, commitErrors prometheus.Counter
}

func newGroupMetrics(g *Group, name string, reg prometheus.Registerer) *groupMetrics {
	labels := prometheus.Labels{"group": name}
	m := &groupMetrics{
		fetchErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "relay_fetch_failed_total", Help: "Fetches that Kafka refused.", ConstLabels: labels}),
		commitErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "relay_commit_failed_total", Help: "Periodic commits that Kafka refused; each is repeated a second later.", ConstLabels: labels})}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
	}
	reg.MustRegister(m.fetchErrors, m.commitErrors,
		gauge("relay_partitions_assigned", "Partitions that this member has.", func() float64 { return float64(g.Assigned()) }),
		gauge("relay_partitions_halted", "Partitions that stopped with an alarm; each needs an operator.", func() float64 { return float64(len(g.Halted())) }),
		gauge("relay_window_records", "Records read and not settled.", func() float64 { return float64(g.o.Window.Usage().Records) }),
		gauge("relay_window_finished_records", "Records settled above one of their partition that is not.", func() float64 { return float64(g.o.Window.Usage().Finished) }),
		gauge("relay_window_bytes", "Bytes of the records read and not settled.", func() float64 { return float64(g.o.Window.Usage().Bytes) }),
		gauge("relay_window_deliveries", "Deliveries made and not settled.", func() float64 { return float64(g.o.Window.Usage().Deliveries) }),
	)
	return m
}

// halts reports whether a fetch error means that records are gone or unreadable: the client has stopped the
// partition, and going on would skip something.
func halts(err error) bool {
	var loss *kgo.ErrDataLoss
	return errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.InconsistentTopicID) ||
		errors.Is(err, kgo.ErrMaxDecompress) || errors.As(err, &loss)
}
