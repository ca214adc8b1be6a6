package receive

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// pair is a tenant's; the tests sign with it.
var pair = func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}()

func publicPEM() string {
	der, err := x509.MarshalPKIXPublicKey(&pair.PublicKey)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func publicKey(context.Context) (string, error) { return publicPEM(), nil }

// receeveBody signs a payload.
func receeveBody(payload string) string {
	sum := sha256.Sum256([]byte(payload))
	signature, err := rsa.SignPKCS1v15(rand.Reader, pair, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	return `{"payload":` + payload + `,"signature":"` + base64.StdEncoding.EncodeToString(signature) + `","payloadAsString":` + string(text) + `}`
}

// The examples of the pages, or where a page has none, what it describes.
const (
	ophelosBody   = `{"id":"evt_1","object":"event","type":"debt.paid","data":{"amount":1.10},"created_at":"2026-03-01T12:34:56Z","livemode":true}`
	socotraBody   = `{"id":"evt_1","timestamp":"1772368496789","data":{"amount":1.10},"transactionId":"tx_1","type":"policy.issue","username":""}`
	failureBody   = `{"actualStatus":"503","eventData":{"amount":1.10},"expectedStatus":"2xx","url":"https://example.com","webhookName":"claims"}`
	ocelotBody    = `{"name":"IncomingSms.received","eventId":"evt_1","to":"+1","from":"+2","triggerType":"Inbound","message":"","dateTime":"2019-08-24T14:15:22Z"}`
	otherSmsBody  = `{"name":"PhoneNumber.optedOut","eventId":"evt_1","phoneNumber":"+1","dateTime":"2019-08-24T14:15:22Z"}`
	donutworkBody = `{"id":"evt_1","event":"RecurringPayments.charge.paid","created":"2026-03-01T12:34:56Z","data":{"amount":1.10}}`
	receeveInner  = `{"details":{"messageType":"event.claim.created.v1","amount":501},"messageId":"evt_1","timestamp":"2021-10-14T15:33:16.848Z","user":{"id":"USER_ID","poolId":"POOL_ID","originator":"ClientAPI"}}`
	standardBody  = `{"type":"debt.paid","timestamp":"2026-03-01T12:34:56Z","data":{"amount":1.10}}`
	cloudBody     = `{"specversion":"1.0","id":"evt_1","source":"/s","type":"debt.paid","data":{"amount":1.10}}`
)

// request is one that a format's receiver accepts.
type request struct {
	format catalog.Format
	body   string
	event  Event
}

func requests() []request {
	data := json.RawMessage(`{"amount":1.10}`)
	return []request{
		{"", `anything`, Event{ID: "msg_1", Type: "debt.paid", Data: json.RawMessage(`anything`)}},
		{catalog.FormatRaw, `{"n":1}`, Event{ID: "msg_1", Type: "debt.paid", Data: json.RawMessage(`{"n":1}`)}},
		{catalog.FormatStandard, standardBody, Event{ID: "msg_1", Type: "debt.paid", Data: data}},
		{catalog.FormatCloudEvents, cloudBody, Event{ID: "msg_1", Type: "debt.paid", Data: data}},
		{catalog.FormatCloudEventsBinary, `{"amount":1.10}`, Event{ID: "msg_1", Type: "debt.paid", Data: data}},
		{catalog.FormatOphelos, ophelosBody, Event{ID: "evt_1", Type: "debt.paid", Data: data}},
		{catalog.FormatSocotra, socotraBody, Event{ID: "evt_1", Type: "policy.issue", Data: data}},
		{catalog.FormatSocotra, failureBody, Event{ID: "msg_1", Data: data, Failure: &FailureMessage{"claims", "https://example.com", "2xx", "503", data}}},
		{catalog.FormatOcelot, ocelotBody, Event{ID: "evt_1", Type: "IncomingSms.received", Data: json.RawMessage(ocelotBody)}},
		{catalog.FormatOcelot, otherSmsBody, Event{ID: "evt_1", Type: "PhoneNumber.optedOut", Data: json.RawMessage(otherSmsBody)}},
		{catalog.FormatDonutwork, donutworkBody, Event{ID: "evt_1", Type: "RecurringPayments.charge.paid", Data: data}},
		{catalog.FormatReceeve, receeveBody(receeveInner), Event{ID: "evt_1", Type: "event.claim.created.v1", Data: json.RawMessage(`{"messageType":"event.claim.created.v1","amount":501}`)}},
	}
}

// headers are those of a request now, signed and authenticated in every way at once.
func headers(t testing.TB, format catalog.Format, body string) http.Header {
	t.Helper()
	now := time.Now()
	at := strconv.FormatInt(now.Unix(), 10)
	signer, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	signature, err := signer.Sign("msg_1", now, []byte(body))
	require.NoError(t, err)
	h := http.Header{}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "webhook-id": "msg_1", "webhook-timestamp": at, "webhook-signature": signature, "webhook-event-type": "debt.paid",
		"Ophelos-Version": "2025-04-01", "Ophelos-Signature": "t=" + at + ",v1=00,v1=" + string(hexMAC([]byte(secret), []byte(at+"."+body))),
		"socotra-signature": string(hexMAC([]byte(secret), []byte(body))), "X-Webhook-Token": secret,
		"Authorization":  "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+secret)),
		"ce-specversion": "1.0", "ce-id": "evt_1", "ce-source": "/s", "ce-type": "debt.paid",
	} {
		h.Set(name, value)
	}
	if format == catalog.FormatCloudEvents {
		h.Set("Content-Type", "application/cloudevents+json")
	}
	return h
}

func receiver(t testing.TB, format catalog.Format) *Receiver {
	t.Helper()
	r, err := New(Options{Format: format, Secret: catalog.NewSecret(secret), User: "user", PublicKey: publicKey})
	require.NoError(t, err)
	return r
}

func TestReceiver_Accepts(t *testing.T) {
	for _, r := range requests() {
		event, err := receiver(t, r.format).Accept(t.Context(), headers(t, r.format, r.body), []byte(r.body))
		require.NoError(t, err, "%s %s", r.format, r.body)
		require.Equal(t, r.event, event, r.format)
	}
}

// Another sender, another key, another body: none passes as the one that was agreed upon.
func TestReceiver_RefusesOtherSenders(t *testing.T) {
	for _, r := range requests() {
		t.Run(string(r.format), func(t *testing.T) {
			ours, signed := receiver(t, r.format), headers(t, r.format, r.body)
			signsHeader := r.format != catalog.FormatReceeve
			if signsHeader {
				require.ErrorIs(t, ours.Authenticate(t.Context(), http.Header{}, []byte(r.body)), ErrSender)
				other, err := New(Options{Format: r.format, Secret: catalog.NewSecret("whsec_" + strings.Repeat("b", 32)), User: "user"})
				require.NoError(t, err)
				require.ErrorIs(t, other.Authenticate(t.Context(), signed, []byte(r.body)), ErrSender)
			}
			signsBody := r.format != catalog.FormatOcelot && r.format != catalog.FormatDonutwork
			for _, changed := range []string{strings.Replace(r.body, "1", "2", 1) + " ", "", "{}", "x"} {
				_, err := ours.Accept(t.Context(), signed, []byte(changed))
				if signsBody {
					require.ErrorIs(t, err, ErrSender, changed)
				}
			}
			anybody, err := New(Options{Format: r.format, AnySender: true})
			require.NoError(t, err)
			unsigned := headers(t, r.format, "something else")
			event, err := anybody.Accept(t.Context(), unsigned, []byte(r.body))
			require.NoError(t, err)
			require.Equal(t, r.event, event)
		})
	}
}

func TestReceiver_OldOphelosSignature(t *testing.T) {
	at := time.Unix(1614265330, 0)
	header := http.Header{"Ophelos-Signature": {"t=1614265330,v1=" + string(hexMAC([]byte(secret), []byte("1614265330.{}")))}}
	for after, valid := range map[time.Duration]bool{0: true, 300 * time.Second: true, 301 * time.Second: false, -300 * time.Second: true, -301 * time.Second: false} {
		r, err := New(Options{Format: catalog.FormatOphelos, Secret: catalog.NewSecret(secret), Now: func() time.Time { return at.Add(after) }})
		require.NoError(t, err)
		require.Equal(t, valid, r.Authenticate(t.Context(), header, []byte("{}")) == nil, after)
	}
}

// TestReceiver_Envelope takes each member of each page away, makes it something else, and adds one.
func TestReceiver_Envelope(t *testing.T) {
	for _, r := range requests() {
		if r.format == "" || r.format == catalog.FormatRaw || r.format == catalog.FormatCloudEventsBinary || r.format == catalog.FormatReceeve {
			continue // the last one has a test of its own
		}
		t.Run(string(r.format), func(t *testing.T) {
			ours := receiver(t, r.format)
			refuses := func(name, says string, change func(map[string]json.RawMessage)) {
				t.Helper()
				var got map[string]json.RawMessage
				require.NoError(t, json.Unmarshal([]byte(r.body), &got))
				change(got)
				body, err := json.Marshal(got)
				require.NoError(t, err)
				_, err = ours.Open(headers(t, r.format, ""), body)
				require.ErrorContains(t, err, "not as documented", "%s %s", name, body)
				require.ErrorContains(t, err, says, "%s %s", name, body)
			}
			var documented map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(r.body), &documented))
			open := r.format == catalog.FormatCloudEvents || r.body == otherSmsBody // which have members of the event's own
			for name := range documented {
				free := name == "data" || name == "eventData" || name == "phoneNumber"
				if !free || !open {
					refuses(name, name, func(got map[string]json.RawMessage) { delete(got, name) })
				}
				if !free {
					refuses(name, name, func(got map[string]json.RawMessage) { got[name] = json.RawMessage(`[1]`) })
					refuses(name, name, func(got map[string]json.RawMessage) { got[name] = json.RawMessage(`null`) })
				}
			}
			if !open {
				refuses("unheardOf", "unheardOf", func(got map[string]json.RawMessage) { got["unheardOf"] = json.RawMessage(`1`) })
			}
			for _, body := range []string{"", "[]", "null", `"x"`, "{}", r.body[1:]} {
				_, err := ours.Open(headers(t, r.format, ""), []byte(body))
				require.Error(t, err, body)
			}
			header := headers(t, r.format, "")
			header.Set("Content-Type", "text/plain")
			_, err := ours.Open(header, []byte(r.body))
			require.ErrorContains(t, err, "content type")
		})
	}
}

func TestReceiver_ReceeveEnvelope(t *testing.T) {
	ours := receiver(t, catalog.FormatReceeve)
	for inner, says := range map[string]string{
		`{"details":{"messageType":"t"},"messageId":"m","timestamp":"2021-10-14T15:33:16.848Z"}`:                           "",
		`{"details":{"messageType":"t"},"messageId":"m","timestamp":"2021-10-14T15:33:16.848+02:00","user":{"id":"1"}}`:    "",
		`{"details":{"messageType":"t"},"messageId":"m","timestamp":"2021-10-14T15:33:16Z"}`:                               "timestamp",
		`{"details":{"messageType":"t"},"messageId":"m","timestamp":1634225596848}`:                                        "timestamp",
		`{"details":{"messageType":"t"},"messageId":"m"}`:                                                                  "timestamp",
		`{"details":{"messageType":"t"},"messageId":"","timestamp":"2021-10-14T15:33:16.848Z"}`:                            "messageId",
		`{"details":{"mesageType":"t"},"messageId":"m","timestamp":"2021-10-14T15:33:16.848Z"}`:                            "messageType",
		`{"details":[],"messageId":"m","timestamp":"2021-10-14T15:33:16.848Z"}`:                                            "details",
		`{"details":{"messageType":"t"},"messageId":"m","timestamp":"2021-10-14T15:33:16.848Z","user":{}}`:                 "user",
		`{"details":{"messageType":"t"},"messageId":"m","timestamp":"2021-10-14T15:33:16.848Z","user":null}`:               "user",
		`{"details":{"messageType":"t"},"messageId":"m","timestamp":"2021-10-14T15:33:16.848Z","user":{"name":"Ann"}}`:     "name",
		`{"details":{"messageType":"t"},"messageId":"m","timestamp":"2021-10-14T15:33:16.848Z","type":"t"}`:                "type",
		`{"details":{"messageType":"t"},"messageId":"m","timestamp":"2021-10-14T15:33:16.848Z","user":{"originator":"a"}}`: "",
	} {
		body := receeveBody(inner)
		event, err := ours.Accept(t.Context(), headers(t, catalog.FormatReceeve, body), []byte(body))
		if says == "" {
			require.NoError(t, err, inner)
			require.Equal(t, "m", event.ID)
			continue
		}
		require.ErrorContains(t, err, says, inner)
		require.NotErrorIs(t, err, ErrSender)
	}
	other := strings.Replace(receeveBody(receeveInner), `"payload":{"details"`, `"payload":{ "details"`, 1)
	_, err := ours.Accept(t.Context(), headers(t, catalog.FormatReceeve, other), []byte(other))
	require.ErrorContains(t, err, "payloadAsString")
}

func TestOpenSuspended(t *testing.T) {
	got, err := OpenSuspended(json.RawMessage(`{"event":"claim.open","integrationName":"crm","webhookName":"claims"}`))
	require.NoError(t, err)
	require.Equal(t, Suspended{"claim.open", "crm", "claims"}, got)
	for _, data := range []string{`{}`, `null`, `{"event":"claim.open","integrationName":"crm"}`, `{"event":"claim.open","integrationName":"crm","webhookName":"claims","x":1}`, `{"event":1,"integrationName":"crm","webhookName":"claims"}`} {
		_, err := OpenSuspended(json.RawMessage(data))
		require.ErrorContains(t, err, "not as documented", data)
	}
}

func TestNew_RefusesWhatCannotKnowTheSender(t *testing.T) {
	for _, o := range []Options{
		{}, {Format: catalog.FormatOphelos}, {Format: catalog.FormatOcelot, User: "u"}, {Format: catalog.FormatReceeve},
		{Format: "telegram", Secret: catalog.NewSecret(secret)}, {Secret: catalog.NewSecret("canary !")}, {Format: catalog.FormatStandard, Secret: catalog.NewSecret("canary !")},
	} {
		_, err := New(o)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "canary")
	}
}

// The key is asked for until it is there, and then kept.
func TestReceiver_PublicKey(t *testing.T) {
	fetched := 0
	answers := []string{"", "no PEM", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", publicPEM()}
	r, err := New(Options{Format: catalog.FormatReceeve, PublicKey: func(context.Context) (string, error) {
		answer := answers[min(fetched, len(answers)-1)]
		if fetched++; answer == "" {
			return "", errors.New("not yet")
		}
		return answer, nil
	}})
	require.NoError(t, err)
	body := receeveBody(receeveInner)
	for range answers[1:] {
		require.ErrorIs(t, r.Authenticate(t.Context(), nil, []byte(body)), ErrKey)
	}
	for range 3 {
		require.NoError(t, r.Authenticate(t.Context(), nil, []byte(body)))
	}
	require.Equal(t, len(answers), fetched)
}
