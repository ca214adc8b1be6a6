package receive

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// FuzzReceiver gives every format's receiver bodies that nobody signed, with headers made of them: nothing is accepted, and
// what opens has the id and type that a receiver acts upon.
func FuzzReceiver(f *testing.F) {
	for _, r := range requests() {
		f.Add([]byte(r.body), "t=1,v1=00")
	}
	f.Add([]byte(`{"payload":null,"signature":"","payloadAsString":"null"}`), "")
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		for _, format := range []catalog.Format{
			catalog.FormatStandard, catalog.FormatCloudEvents, catalog.FormatOphelos, catalog.FormatSocotra, catalog.FormatOcelot, catalog.FormatDonutwork,
		} {
			header := http.Header{"Content-Type": {"application/json"}, "Ophelos-Version": {"2025-04-01"}, "Webhook-Id": {"msg_1"}}
			for _, name := range []string{"Ophelos-Signature", "Socotra-Signature", "X-Webhook-Token", "Authorization", "Webhook-Signature"} {
				header.Set(name, signature)
			}
			r := receiver(t, format)
			_, err := r.Accept(t.Context(), header, body)
			require.ErrorIs(t, err, ErrSender)
			event, err := r.Open(header, body)
			if err == nil {
				require.NotEmpty(t, event.ID)
				require.True(t, event.Type != "" || event.Failure != nil)
			}
		}
		_, _ = receiver(t, catalog.FormatReceeve).Open(http.Header{"Content-Type": {"application/json"}}, body)
	})
}
