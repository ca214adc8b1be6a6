package catalog

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNormalizeFillsDefaults(t *testing.T) {
	w := NewWebhook()
	w.Normalize()
	require.Equal(t, &Webhook{
		Tenant: DefaultTenant, Platform: PlatformV1, Enabled: true, Events: []string{"*"}, Format: FormatStandard,
		Auth: Auth{Type: AuthNone}, Signing: Signing{Enabled: true}, Retry: RetryStandard,
		FailureHandling: DefaultFailureHandling(),
		Delivery:        DeliveryLimits{Timeout: Duration(15 * time.Second), Concurrency: 8},
	}, w)
	again := w.Clone()
	again.Normalize()
	require.Equal(t, w, again, "normalizing twice changes nothing")
}

func TestNormalizeKeepsWhatWasSaid(t *testing.T) {
	var w Webhook
	require.NoError(t, json.Unmarshal([]byte(`{
		"events": [], "retry": {"schedule": []}, "headers": {"x-team": "a"},
		"failureHandling": {"mode": "suspend", "actOnStatusCodes": []},
		"overrides": [{"office": "b", "auth": {}, "headers": {"x-office": "b"}}],
		"signing": {"enabled": true, "secrets": [{"value": "whsec_QUJD"}, {"value": "plain"}, {"value": "redacted"}]}
	}`), &w))
	w.Normalize()
	w = *w.Clone()
	w.Normalize()
	require.Equal(t, []string{}, w.Events, "no events is not the same as all")
	require.Equal(t, Retry{Custom: []time.Duration{}}, w.Retry, "no retries is not the standard schedule")
	require.Equal(t, FailureHandling{Mode: FailureSuspend, ActOnStatusCodes: []string{}, Otherwise: FailureDivert}, w.FailureHandling)
	require.Equal(t, map[string]string{"X-Team": "a"}, w.Headers)
	require.Equal(t, map[string]string{"X-Office": "b"}, w.Overrides[0].Headers)
	require.Equal(t, AuthNone, w.Overrides[0].Auth.Type)
	require.False(t, w.Enabled)
	require.Equal(t, []SecretEncoding{SecretWhsec, SecretRaw, ""},
		[]SecretEncoding{w.Signing.Secrets[0].Encoding, w.Signing.Secrets[1].Encoding, w.Signing.Secrets[2].Encoding})
}

func TestNormalizeLeavesTheEndpointToTheIntegration(t *testing.T) {
	w := NewWebhook()
	w.ID, w.Integration, w.Delivery.Concurrency = "x", "crm", DefaultConcurrency
	w.Normalize()
	require.False(t, w.Signing.Enabled)
	require.Zero(t, w.Delivery.Concurrency)
	_, err := w.Validate(Rules{})
	require.NoError(t, err)
}

func TestNormalizeIntegration(t *testing.T) {
	in := NewIntegration()
	in.Headers = map[string]string{"x-team": "a"}
	in.Normalize()
	require.Equal(t, &Integration{
		Tenant: DefaultTenant, Auth: Auth{Type: AuthNone}, Signing: Signing{Enabled: true},
		Headers: map[string]string{"X-Team": "a"}, Concurrency: DefaultConcurrency,
	}, in)
}

func TestGenerateSecret(t *testing.T) {
	a, err := GenerateSecret()
	require.NoError(t, err)
	b, err := GenerateSecret()
	require.NoError(t, err)
	require.NotEqual(t, a.Value.Reveal(), b.Value.Reveal())
	require.True(t, isWhsec(a.Value.Reveal()))
	require.Equal(t, SecretWhsec, a.Encoding)
}

func TestNewUID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		uid := NewUID("wh_")
		require.Regexp(t, `^wh_[a-z2-7]{26}$`, uid)
		require.False(t, seen[uid])
		seen[uid] = true
	}
}

// What a client leaves out gets its default, and what is wrong is named by the place where it stands.
func ExampleWebhook_Validate() {
	w := NewWebhook()
	request := `{"id": "billing", "url": "https://example.com/hook", "events": ["debt.paid", "debt"], "filter": {"data": {"amount": {"$gte": true}}}}`
	if err := json.NewDecoder(strings.NewReader(request)).Decode(w); err != nil {
		fmt.Println(err)
	}
	secret, _ := GenerateSecret()
	w.Signing.Secrets = []SigningSecret{secret}
	w.Normalize()
	warnings, err := w.Validate(Rules{})
	fmt.Println(err)
	fmt.Println(warnings[0].Path, warnings[0].Message)
	fmt.Println(w.Format, w.Retry.Name, time.Duration(w.Delivery.Timeout))
	// Output:
	// filter.data.amount.$gte: it compares numbers with numbers and strings with strings
	// events[1] the catalog has no event type "debt"
	// standard standard 15s
}
