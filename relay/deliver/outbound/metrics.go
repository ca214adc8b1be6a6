package outbound

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a client. Labels are closed sets.
type metrics struct {
	attempts map[Class]prometheus.Counter
	dials    map[Class]prometheus.Counter
	replaced prometheus.Counter
}

// newMetrics registers with r unless it is nil.
func newMetrics(r prometheus.Registerer, c *Client) metrics {
	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "relay_outbound_attempts_total",
		Help: "HTTP attempts by class; \"status\" when a response was received.",
	}, []string{"class"})
	dials := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "relay_outbound_dials_total",
		Help: "Connections dialled, by class of failure; \"ok\" when there was none.",
	}, []string{"class"})
	m := metrics{
		attempts: make(map[Class]prometheus.Counter, len(classes)),
		dials:    make(map[Class]prometheus.Counter, len(classes)),
		replaced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "relay_outbound_replaced_total",
			Help: "Idle connections that the receiver had closed, replaced within the attempt.",
		}),
	}
	for _, class := range classes {
		m.attempts[class] = attempts.WithLabelValues(label(class, "status"))
		m.dials[class] = dials.WithLabelValues(label(class, "ok"))
	}
	sockets := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "relay_outbound_sockets",
		Help: "Open connections to receivers, idle ones included.",
	}, func() float64 { return float64(c.sockets.count()) })
	if r != nil {
		r.MustRegister(attempts, dials, m.replaced, sockets)
	}
	return m
}

func label(class Class, none string) string {
	if class == ClassStatus {
		return none
	}
	return string(class)
}

func (m *metrics) attempt(class Class) { m.attempts[class].Inc() }

func (m *metrics) dial(err error) {
	class := ClassStatus
	if err != nil && !errors.Is(err, errOnlyHTTP2) {
		class = classify(err, nil)
	}
	m.dials[class].Inc()
}
