package payload

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/payload/receive"
)

func failureAlert(ev *catalog.Event, alert relay.Alert) *relay.Delivery {
	alert.Kind = relay.AlertFailure
	return relay.NewFailureAlert(delivery(ev), alert, fixedNow)
}

func compileAlert(t *testing.T, format catalog.Format, signing catalog.Signing) *Encoding {
	t.Helper()
	e, err := CompileAlert(format, Keys{Signing: signing})
	require.NoError(t, err)
	return e
}

func TestAlert_FailureMessage(t *testing.T) {
	e := compileAlert(t, catalog.FormatSocotra, catalog.Signing{})
	for name, tt := range map[string]struct {
		data  string
		alert relay.Alert
		body  string
		count string
	}{
		"a status": {`{"b":1.0,"a":9007199254740993}`, relay.Alert{Webhook: "claims", URL: "https://a.example/h", Status: 503},
			`{"webhookName":"claims","url":"https://a.example/h","expectedStatus":"2xx","actualStatus":"503","eventData":{"b":1.0,"a":9007199254740993}}`, "1"},
		"no answer": {`[1]`, relay.Alert{Webhook: "c\"l", URL: "https://a.example/h", Count: 12},
			`{"webhookName":"c\"l","url":"https://a.example/h","expectedStatus":"2xx","actualStatus":"timeout","eventData":[1]}`, "12"},
		"no data":  {``, relay.Alert{Webhook: "c", URL: "u"}, `{"webhookName":"c","url":"u","expectedStatus":"2xx","actualStatus":"timeout","eventData":null}`, "1"},
		"not JSON": {`{x`, relay.Alert{Webhook: "c", URL: "u"}, `{"webhookName":"c","url":"u","expectedStatus":"2xx","actualStatus":"timeout","eventData":"e3g="}`, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			m := compose(t, e, failureAlert(event(tt.data), tt.alert))
			require.Equal(t, tt.body, string(m.Body))
			require.Equal(t, tt.count, m.received().Get(headerAlertCount))
			require.Equal(t, mediaJSON, m.received().Get(headerContentType))
			require.Equal(t, "debt.paid", m.received().Get(headerEventType), "which event failed")
		})
	}
}

func TestAlert_SuspendedEvent(t *testing.T) {
	e := compileAlert(t, catalog.FormatSocotra, catalog.Signing{})
	ev := event(`{}`)
	for name, tt := range map[string]struct{ alert, data string }{
		"by a delivery":   {`{"webhook":"claims","eventType":"claim.open","integration":"crm"}`, `{"webhookName":"claims","event":"claim.open","integrationName":"crm"}`},
		"by an operator":  {`{"webhook":"claims","integration":"crm"}`, `{"webhookName":"claims","event":"","integrationName":"crm"}`},
		"inline endpoint": {`{"webhook":"claims"}`, `{"webhookName":"claims","event":"","integrationName":""}`},
	} {
		t.Run(name, func(t *testing.T) {
			alert := relay.Alert{Kind: relay.AlertSuspended}
			require.NoError(t, json.Unmarshal([]byte(tt.alert), &alert))
			m := compose(t, e, relay.NewSuspendedAlert(ev, "wh_1", coordinates, 1, alert, fixedNow))
			require.JSONEq(t, `{"id":"evt_1","timestamp":"1772368496000","data":`+tt.data+`,"transactionId":"evt_1","type":"webhook.suspended","username":""}`, string(m.Body))
			require.Equal(t, relay.SuspendedEventType, m.received().Get(headerEventType))
			require.Empty(t, m.received().Get(headerAlertCount))
			_, err := receive.OpenSuspended(json.RawMessage(tt.data))
			require.NoError(t, err, "as the page documents it")
		})
	}
	require.Equal(t, "debt.paid", ev.Type, "the event is shared and stays as it is")
}

// TestAlert_Signatures: signed with the integration's keys, as receivers of the webhook's platform check it.
func TestAlert_Signatures(t *testing.T) {
	d := failureAlert(event(`{"a":1}`), relay.Alert{Webhook: "c", URL: "u"})

	m := compose(t, compileAlert(t, catalog.FormatSocotra, signedWith(vectorSecret)), d)
	mac := hmac.New(sha256.New, []byte(vectorSecret))
	mac.Write(m.Body)
	require.Equal(t, hex.EncodeToString(mac.Sum(nil)), m.received().Get(headerSocotraSignature))

	for _, format := range []catalog.Format{catalog.FormatStandard, catalog.FormatReceeve, catalog.FormatRaw} {
		m = compose(t, compileAlert(t, format, signedWith(vectorSecret)), d)
		verifier, err := standardwebhooks.NewWebhook(vectorSecret)
		require.NoError(t, err)
		require.NoError(t, verifier.VerifyIgnoringTimestamp(m.Body, m.received()))
	}
	_, err := CompileAlert(catalog.FormatRaw, Keys{Signing: catalog.Signing{Enabled: true}})
	require.ErrorIs(t, err, ErrSigningKey)
}

func FuzzComposeAlert(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "claims", "https://a.example/h", 503)
	f.Add([]byte("\xff{"), "\"\x00", "", 0)
	e, err := CompileAlert(catalog.FormatSocotra, Keys{Signing: signedWith(vectorSecret)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, webhook, url string, status int) {
		var m Message
		require.NoError(t, e.Compose(&m, failureAlert(event(string(data)), relay.Alert{Webhook: webhook, URL: url, Status: status}), fixedNow))
		require.True(t, json.Valid(m.Body), "%q", m.Body)
	})
}
