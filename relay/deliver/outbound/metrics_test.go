package outbound

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := receive(t, serve(ok200))
	c := newClient(t, Options{Registerer: registry})
	c.Do(t.Context(), post(r.url(), ample))
	c.Do(t.Context(), post("http://10.0.0.1/", ample))

	families, err := registry.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.Metric {
			name := family.GetName()
			for _, l := range m.Label {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	require.EqualValues(t, 1, got["relay_outbound_attempts_total class=status"])
	require.EqualValues(t, 1, got["relay_outbound_attempts_total class=blocked"])
	require.EqualValues(t, 1, got["relay_outbound_dials_total class=ok"])
	require.EqualValues(t, 1, got["relay_outbound_sockets"])
	require.Contains(t, got, "relay_outbound_replaced_total")
	require.Len(t, got, 2*len(classes)+2, "labels are a closed set, present from the start")
}
