package dialect_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/admin"
	"eventrelay/admin/dialect"
)

// A repeated POST makes nothing new and shows no secret again; another body under the same key is refused.
func TestIdempotencyKey_OfEveryPlatform(t *testing.T) {
	a := newAPI(t, func(s *dialect.Services, _ *admin.Options) { s.CertificateCheck = nil })
	tests := []struct {
		path, body, another, list string
		status                    int
		secret                    string // member of the answer that is shown once
	}{
		{"/ophelos/webhooks", `{"url": "https://example.com/1"}`, `{"url": "https://example.com/2"}`, "/ophelos/webhooks", http.StatusCreated, "signing_key"},
		{"/ocelot/webhooks", `{"id": "o", "matchingEvents": ["IncomingSms.received"], "url": "https://example.com/1"}`,
			`{"id": "p", "matchingEvents": ["IncomingSms.received"], "url": "https://example.com/1"}`, "/ocelot/webhooks", http.StatusOK, ""},
		{"/donutwork/2026-02-01/webhooks.json", `{"webhook": {"name": "n", "url": "https://example.com/1", "events": "RecurringPayments.charge.paid"}}`,
			`{"webhook": {"name": "m", "url": "https://example.com/1", "events": "RecurringPayments.charge.paid"}}`, "/donutwork/2026-02-01/webhooks.json", http.StatusOK, "token"},
		{"/socotra/integrations", `{"name": "i", "url": "https://example.com/1"}`, `{"name": "i", "url": "https://example.com/2"}`, "/socotra/integrations", http.StatusOK, ""},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			key := header{"Idempotency-Key", "k-1"}
			first := a.do(http.MethodPost, tt.path, tt.body, key)
			require.Equal(t, tt.status, first.status, "%s", first.body)
			listed := a.do(http.MethodGet, tt.list, "").body
			repeat := a.do(http.MethodPost, tt.path, tt.body, key)
			require.Equal(t, tt.status, repeat.status, "%s", repeat.body)
			require.Equal(t, string(listed), string(a.do(http.MethodGet, tt.list, "").body), "nothing new is made")
			if tt.secret != "" {
				shown := first.object()[tt.secret].(string)
				require.NotEqual(t, "redacted", shown)
				require.NotContains(t, string(repeat.body), shown)
				again, _ := repeat.object()[tt.secret].(string)
				require.True(t, again == "" || again == "redacted", "no secret that nobody has: %s", again)
				require.Equal(t, first.object()["id"], repeat.object()["id"])
			}
			refused := a.do(http.MethodPost, tt.path, tt.another, key)
			require.Equal(t, http.StatusUnprocessableEntity, refused.status, "%s", refused.body)
			require.Contains(t, string(refused.body), "Idempotency-Key")
			malformed := a.do(http.MethodPost, tt.path, tt.body, header{"Idempotency-Key", strings.Repeat("x", 256)})
			require.Equal(t, http.StatusBadRequest, malformed.status)
		})
	}
}
