package catalog

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func testWebhook() *Webhook {
	w := NewWebhook()
	w.ID, w.URL = "billing", "https://example.com/hook"
	w.Signing.Secrets = []SigningSecret{{Value: NewSecret("whsec_" + strings.Repeat("QUJD", 8)), Encoding: SecretWhsec}}
	w.Normalize()
	return w
}

// problems gives path and message of everything that is wrong.
func problems(t *testing.T, err error) map[string]string {
	t.Helper()
	found := map[string]string{}
	if err == nil {
		return found
	}
	var invalid *ValidationError
	require.ErrorAs(t, err, &invalid)
	for _, field := range invalid.Fields {
		found[field.Path] = field.Message
	}
	return found
}

func TestValidateAccepts(t *testing.T) {
	for name, change := range map[string]func(w *Webhook){
		"the defaults":        func(*Webhook) {},
		"an id in any script": func(w *Webhook) { w.ID = "Rechnungen/Größe 請求書" },
		"no events":           func(w *Webhook) { w.Events = []string{} },
		"patterns":            func(w *Webhook) { w.Events = []string{"*", "debt.*", "debt.paid", "event.claim.created"} },
		"domains":             func(w *Webhook) { w.Domains = []string{"debt", "my-domain_2"} },
		"a filter":            func(w *Webhook) { w.Filter = json.RawMessage(`{"data":{"amount":{"$gte":100}}}`) },
		"metadata":            func(w *Webhook) { w.Metadata = json.RawMessage(` {"team":"billing"} `) },
		"null metadata":       func(w *Webhook) { w.Metadata = json.RawMessage(`null`) },
		"basic auth":          func(w *Webhook) { w.Auth = Auth{Type: AuthBasic, Username: "u", Password: NewSecret("p")} },
		"bearer auth":         func(w *Webhook) { w.Auth = Auth{Type: AuthBearer, Token: NewSecret("t")} },
		"header auth":         func(w *Webhook) { w.Auth = Auth{Type: AuthHeader, Name: "Authorization", Value: NewSecret("ApiKey t")} },
		"oauth2": func(w *Webhook) {
			w.Auth = Auth{Type: AuthOAuth2, TokenURL: "https://id.example.com/token", ClientID: "c", ClientSecret: NewSecret("s"), Scopes: []string{"a:b"}}
		},
		"unsigned":           func(w *Webhook) { w.Signing = Signing{} },
		"a short raw secret": func(w *Webhook) { w.Signing.Secrets = []SigningSecret{{Value: NewSecret("x"), Encoding: SecretRaw}} },
		"a schedule":         func(w *Webhook) { w.Retry = Retry{Custom: []time.Duration{time.Second, 24 * time.Hour}} },
		"an empty schedule":  func(w *Webhook) { w.Retry = Retry{Custom: []time.Duration{}} },
		"codes":              func(w *Webhook) { w.FailureHandling.ActOnStatusCodes = []string{"3xx", "404", "5xx"} },
		"overrides": func(w *Webhook) {
			w.Overrides = []Override{{Office: "berlin", URL: "https://berlin.example.com"}, {Office: "paris", Auth: &Auth{Type: AuthNone}}}
		},
		"limits": func(w *Webhook) {
			w.Delivery = DeliveryLimits{Timeout: Duration(MaxTimeout), Concurrency: MaxConcurrency, RateLimit: 0.5}
		},
		"an integration": func(w *Webhook) {
			*w = Webhook{ID: "x", Integration: "crm", Enabled: true}
			w.Normalize()
		},
		"an alert": func(w *Webhook) { w.Alert = &Alert{Integration: "crm"} },
	} {
		t.Run(name, func(t *testing.T) {
			w := testWebhook()
			change(w)
			warnings, err := w.Validate(Rules{KnownIntegration: func(name string) bool { return name == "crm" }})
			require.NoError(t, err)
			require.Empty(t, warnings)
		})
	}
}

func TestValidateRefuses(t *testing.T) {
	for _, tt := range []struct {
		path   string
		change func(w *Webhook)
	}{
		{"id", func(w *Webhook) { w.ID = "" }},
		{"id", func(w *Webhook) { w.ID = strings.Repeat("x", MaxIDLength+1) }},
		{"id", func(w *Webhook) { w.ID = "a\x00b" }},
		{"id", func(w *Webhook) { w.ID = "a\u0085b" }},
		{"id", func(w *Webhook) { w.ID = "a\xff" }},
		{"platform", func(w *Webhook) { w.Platform = "svix" }},
		{"description", func(w *Webhook) { w.Description = strings.Repeat("x", MaxDescriptionLength+1) }},
		{"metadata", func(w *Webhook) { w.Metadata = json.RawMessage(`[1]`) }},
		{"metadata", func(w *Webhook) { w.Metadata = json.RawMessage(`{"a":`) }},
		{"metadata", func(w *Webhook) { w.Metadata = json.RawMessage(`{"a":"` + strings.Repeat("x", MaxMetadataSize) + `"}`) }},
		{"events[1]", func(w *Webhook) { w.Events = []string{"debt.paid", "*.paid"} }},
		{"events[0]", func(w *Webhook) { w.Events = []string{"relay.*"} }},
		{"events", func(w *Webhook) { w.Events = make([]string, MaxPatterns+1) }},
		{"domains[1]", func(w *Webhook) { w.Domains = []string{"debt", "De bt"} }},
		{"domains[0]", func(w *Webhook) { w.Domains = []string{""} }},
		{"filter.data.amount.$gte", func(w *Webhook) { w.Filter = json.RawMessage(`{"data":{"amount":{"$gte":true}}}`) }},
		{"filter", func(w *Webhook) { w.Filter = json.RawMessage(`[]`) }},
		{`filter["a.b"]`, func(w *Webhook) { w.Filter = json.RawMessage(`{"a.b":1}`) }},
		{"format", func(w *Webhook) { w.Format = "xml" }},
		{"url", func(w *Webhook) { w.URL = "" }},
		{"url", func(w *Webhook) { w.URL = "http://example.com" }},
		{"url", func(w *Webhook) { w.URL = "https://10.0.0.1" }},
		{"auth.type", func(w *Webhook) { w.Auth.Type = "magic" }},
		{"auth.username", func(w *Webhook) { w.Auth = Auth{Type: AuthBasic, Password: NewSecret("p")} }},
		{"auth.username", func(w *Webhook) { w.Auth = Auth{Type: AuthBasic, Username: "a:b", Password: NewSecret("p")} }},
		{"auth.password", func(w *Webhook) { w.Auth = Auth{Type: AuthBasic, Username: "u"} }},
		{"auth.token", func(w *Webhook) { w.Auth = Auth{Type: AuthBearer} }},
		{"auth.token", func(w *Webhook) { w.Auth = Auth{Type: AuthBearer, Token: NewSecret(Redacted)} }},
		{"auth.token", func(w *Webhook) { w.Auth = Auth{Type: AuthBearer, Token: NewSecret("a\r\nb")} }},
		{"auth.name", func(w *Webhook) { w.Auth = Auth{Type: AuthHeader, Name: "Host", Value: NewSecret("v")} }},
		{"auth.value", func(w *Webhook) { w.Auth = Auth{Type: AuthHeader, Name: "X-Key"} }},
		{"auth.tokenUrl", func(w *Webhook) {
			w.Auth = Auth{Type: AuthOAuth2, TokenURL: "https://169.254.169.254/", ClientID: "c", ClientSecret: NewSecret("s")}
		}},
		{"auth.clientId", func(w *Webhook) {
			w.Auth = Auth{Type: AuthOAuth2, TokenURL: "https://id.example.com", ClientSecret: NewSecret("s")}
		}},
		{"auth.scopes[0]", func(w *Webhook) {
			w.Auth = Auth{Type: AuthOAuth2, TokenURL: "https://id.example.com", ClientID: "c", ClientSecret: NewSecret("s"), Scopes: []string{"a b"}}
		}},
		{"auth.certificate", func(w *Webhook) { w.Auth = Auth{Type: AuthMTLS} }},
		{"auth.privateKey", func(w *Webhook) { w.Auth = Auth{Type: AuthMTLS, Certificate: "x"} }},
		{"auth.certificate", func(w *Webhook) { w.Auth = Auth{Type: AuthMTLS, Certificate: "x", PrivateKey: NewSecret("y")} }},
		{"headers.X-A", func(w *Webhook) { w.Headers = map[string]string{"X-A": "a\n"} }},
		{"headers.Authorization", func(w *Webhook) { w.Headers = map[string]string{"Authorization": "x"} }},
		{"headers.x-a", func(w *Webhook) { w.Headers = map[string]string{"x-a": "1", "X-A": "2"} }},
		{"headers", func(w *Webhook) {
			w.Headers = map[string]string{}
			for i := range MaxHeaders + 1 {
				w.Headers[fmt.Sprintf("X-%d", i)] = "v"
			}
		}},
		{"signing.secrets", func(w *Webhook) { w.Signing.Secrets = nil }},
		{"signing.secrets", func(w *Webhook) { w.Signing.Secrets = append(w.Signing.Secrets, make([]SigningSecret, 3)...) }},
		{"signing.secrets[0].value", func(w *Webhook) { w.Signing.Secrets[0].Value = NewSecret("whsec_QUJD") }},
		{"signing.secrets[0].value", func(w *Webhook) { w.Signing.Secrets[0].Value = NewSecret(strings.Repeat("QUJD", 8)) }},
		{"signing.secrets[0].value", func(w *Webhook) { w.Signing.Secrets[0].Value = NewSecret("whsec_" + strings.Repeat("QUJD", 22)) }},
		{"signing.secrets[0].value", func(w *Webhook) { w.Signing.Secrets[0].Value = NewSecret(Redacted) }},
		{"signing.secrets[0].value", func(w *Webhook) { w.Signing.Secrets[0] = SigningSecret{Encoding: SecretRaw} }},
		{"signing.secrets[0].encoding", func(w *Webhook) { w.Signing.Secrets[0].Encoding = "hex" }},
		{"tls.insecureSkipVerify", func(w *Webhook) { w.TLS.InsecureSkipVerify = true }},
		{"tls.caCert", func(w *Webhook) { w.TLS.CACert = "not PEM" }},
		{"retry", func(w *Webhook) { w.Retry = Retry{Name: "often"} }},
		{"retry.schedule[1]", func(w *Webhook) { w.Retry = Retry{Custom: []time.Duration{time.Second, time.Millisecond}} }},
		{"retry.schedule[0]", func(w *Webhook) { w.Retry = Retry{Custom: []time.Duration{25 * time.Hour}} }},
		{"retry.schedule", func(w *Webhook) { w.Retry = Retry{Custom: make([]time.Duration, MaxRetries+1)} }},
		{"failureHandling.mode", func(w *Webhook) { w.FailureHandling.Mode = "explode" }},
		{"failureHandling.otherwise", func(w *Webhook) { w.FailureHandling.Otherwise = FailureSuspend }},
		{"failureHandling.actOnStatusCodes[1]", func(w *Webhook) { w.FailureHandling.ActOnStatusCodes = []string{"503", "6xx"} }},
		{"failureHandling.actOnStatusCodes[0]", func(w *Webhook) { w.FailureHandling.ActOnStatusCodes = []string{"099"} }},
		{"alert.integration", func(w *Webhook) { w.Alert = &Alert{Integration: "unknown"} }},
		{"overrides[0].office", func(w *Webhook) { w.Overrides = []Override{{}} }},
		{"overrides[1].office", func(w *Webhook) { w.Overrides = []Override{{Office: "b"}, {Office: "b"}} }},
		{"overrides[0].url", func(w *Webhook) { w.Overrides = []Override{{Office: "b", URL: "https://localhost"}} }},
		{"overrides[0].auth.token", func(w *Webhook) { w.Overrides = []Override{{Office: "b", Auth: &Auth{Type: AuthBearer}}} }},
		{"overrides[0].headers.Via", func(w *Webhook) { w.Overrides = []Override{{Office: "b", Headers: map[string]string{"Via": "x"}}} }},
		{"delivery.timeout", func(w *Webhook) { w.Delivery.Timeout = Duration(31 * time.Second) }},
		{"delivery.timeout", func(w *Webhook) { w.Delivery.Timeout = Duration(time.Millisecond) }},
		{"delivery.concurrency", func(w *Webhook) { w.Delivery.Concurrency = MaxConcurrency + 1 }},
		{"delivery.concurrency", func(w *Webhook) { w.Delivery.Concurrency = -1 }},
		{"delivery.rateLimit", func(w *Webhook) { w.Delivery.RateLimit = -1 }},
		{"integration", func(w *Webhook) { *w = Webhook{ID: "x", Integration: "unknown"}; w.Normalize() }},
	} {
		w := testWebhook()
		tt.change(w)
		_, err := w.Validate(Rules{KnownIntegration: func(name string) bool { return name == "crm" }})
		require.Contains(t, problems(t, err), tt.path)
	}
}

func TestValidateCollectsEverything(t *testing.T) {
	w := testWebhook()
	w.ID, w.URL, w.Format, w.Events = "", "ftp://x", "xml", []string{"", "ok.*", "a b"}
	_, err := w.Validate(Rules{})
	found := problems(t, err)
	require.Len(t, found, 5, err)
	for _, path := range []string{"id", "url", "format", "events[0]", "events[2]"} {
		require.Contains(t, found, path)
	}
}

func TestValidateIntegrationDecidesTheEndpoint(t *testing.T) {
	w := testWebhook()
	w.Integration = "crm"
	w.Auth = Auth{Type: AuthBearer, Token: NewSecret("t")}
	w.TLS.CACert = "x"
	w.Delivery.Concurrency, w.Delivery.RateLimit = 4, 1
	_, err := w.Validate(Rules{})
	found := problems(t, err)
	for _, path := range []string{"url", "auth", "signing", "tls", "delivery.concurrency", "delivery.rateLimit"} {
		require.Contains(t, found, path)
	}
	require.Len(t, found, 6)
}

func TestValidateWarnsOfUnknownTypes(t *testing.T) {
	w := testWebhook()
	w.Events = []string{"debt.paid", "debt.vanished", "debt.*", "event.claim.created.v2"}
	warnings, err := w.Validate(Rules{})
	require.NoError(t, err)
	require.Equal(t, []Warning{{"events[1]", `the catalog has no event type "debt.vanished"`}}, warnings)
}

func TestValidationErrorsHideSecrets(t *testing.T) {
	w := testWebhook()
	w.Auth = Auth{Type: AuthHeader, Name: "X-Key", Value: NewSecret("hunter2\n")}
	w.Signing.Secrets = []SigningSecret{{Value: NewSecret("whsec_hunter2"), Encoding: SecretWhsec}}
	w.URL = "https://u:hunter2@example.com"
	_, err := w.Validate(Rules{})
	require.Len(t, problems(t, err), 4)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestWebhook_ValidateRefusesAuthThatDeliveriesCannotUse(t *testing.T) {
	w := NewWebhook()
	w.ID, w.URL, w.Signing = "w", "https://example.com/", Signing{}
	w.Auth = Auth{Type: AuthOAuth2, TokenURL: "https://id.example.com/token", ClientID: "c", ClientSecret: NewSecret("s")}
	w.Normalize()
	_, err := w.Validate(Rules{})
	require.NoError(t, err)
	_, err = w.Validate(Rules{AuthTypes: []AuthType{AuthNone, AuthBasic}})
	var invalid *ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "auth.type", invalid.Fields[0].Path)
}
