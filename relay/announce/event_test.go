package announce

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/intake/envelope"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = "relay.events"

var start = time.Date(2026, 4, 1, 9, 30, 0, 0, time.UTC)

func webhook(uid string) *catalog.Webhook {
	return &catalog.Webhook{UID: uid, ID: "hook \"" + uid + "\"", Tenant: "acme", Platform: catalog.PlatformSocotra, Enabled: true,
		Integration: "crm", Format: catalog.FormatSocotra, Alert: &catalog.Alert{Integration: "pager"}}
}

// decoded reads a record as intake does.
func decoded(t *testing.T, rec *kgo.Record) *catalog.Event {
	t.Helper()
	decoder, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: 1 << 20, Domains: map[string]string{topic: catalog.DomainRelay}})
	require.NoError(t, err)
	ev, err := decoder.Decode(rec)
	require.NoError(t, err)
	return ev
}

func TestSuspension_Records(t *testing.T) {
	w := webhook("wh_1")
	s := &catalog.Suspension{UID: w.UID, Tenant: w.Tenant, Epoch: 3, Active: true, Since: start, Reason: "gone", LastFailure: "status 410", EventType: "claim.open"}
	began := Suspension(topic, w, s, 17)
	require.Equal(t, began, Suspension(topic, w, s, 17), "made again it is the same")
	ev := decoded(t, began)
	require.Equal(t, "wh_1.3.suspended", ev.ID)
	require.Equal(t, []string{"acme", catalog.DomainRelay, "wh_1", source, TypeSuspended}, []string{ev.Tenant, ev.Domain, ev.Subject, ev.Source, ev.Type})
	require.JSONEq(t, `{"webhook":{"id":"hook \"wh_1\"","uid":"wh_1"},"at":"2026-04-01T09:30:00Z","epoch":3,"reason":"gone","lastFailure":"status 410","eventType":"claim.open","integration":"crm"}`, string(ev.Data))
	require.Equal(t, "wh_1", string(began.Key))

	for _, tt := range []struct {
		kept   []int64
		resend string
	}{{nil, "true"}, {[]int64{3}, "false"}} {
		ended := *s
		ended.Active, ended.Kept = false, tt.kept
		ev = decoded(t, Suspension(topic, w, &ended, 17))
		require.Equal(t, "wh_1.3.unsuspended", ev.ID)
		require.Equal(t, TypeUnsuspended, ev.Type)
		var data map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(ev.Data, &data))
		require.Equal(t, tt.resend, string(data["resend"]))
	}
}

func TestSuspendedAlert(t *testing.T) {
	w := webhook("wh_1")
	s := &catalog.Suspension{UID: w.UID, Tenant: w.Tenant, Epoch: 1, Active: true, Since: start, EventType: "claim.open"}
	src := relay.Coordinates{Topic: topic, Offset: 5}
	rec := Suspension(topic, w, s, 17)
	ev := decoded(t, rec)
	d := SuspendedAlert(rec, ev, src, start)
	require.NotNil(t, d)
	require.Equal(t, relay.AlertUID("wh_1"), d.UID)
	require.EqualValues(t, 17, d.MatchedAt)
	require.Equal(t, &relay.Alert{Kind: relay.AlertSuspended, Webhook: w.ID, EventType: "claim.open", Integration: "crm"}, d.Alert)
	require.Equal(t, d.WebhookID, SuspendedAlert(rec, ev, src, start).WebhookID)

	ended := *s
	ended.Active = false
	silent := webhook("wh_1")
	silent.Alert = nil
	for name, rec := range map[string]*kgo.Record{"it ended": Suspension(topic, w, &ended, 17), "no alert integration": Suspension(topic, silent, s, 17)} {
		require.Nil(t, SuspendedAlert(rec, decoded(t, rec), src, start), name)
	}
	foreign := *ev
	foreign.Domain = "policy"
	require.Nil(t, SuspendedAlert(rec, &foreign, src, start), "a platform's record that looks like one")
	rec.Headers[len(rec.Headers)-1].Value = []byte("x")
	require.Nil(t, SuspendedAlert(rec, ev, src, start))
}

func TestAlertWebhook(t *testing.T) {
	require.Nil(t, AlertWebhook(nil))
	silent := webhook("wh_1")
	silent.Alert = nil
	require.Nil(t, AlertWebhook(silent))
	w := AlertWebhook(webhook("wh_1"))
	require.Equal(t, "pager", w.Integration)
	require.Equal(t, catalog.FailureNone, w.FailureHandling.ModeFor(0))
	require.Equal(t, catalog.FailureNone, w.FailureHandling.ModeFor(500))
	require.Nil(t, w.Alert, "an alert raises no alert")
	endpoint, err := w.ResolveEndpoint(&catalog.Integration{UID: "in_1", URL: "https://pager.example/"}, "north")
	require.NoError(t, err)
	require.Equal(t, "i/in_1", endpoint.Key, "lane and breaker are the integration's")
	require.Equal(t, catalog.DefaultTimeout, endpoint.Timeout)
}

// TestSamples: what the catalog documents has the members that are written.
func TestSamples(t *testing.T) {
	for eventType, data := range map[string]any{
		TypeSuspended:   suspendedData{LastFailure: "x", EventType: "x", Integration: "x"},
		TypeUnsuspended: unsuspendedData{},
		TypeFailing:     failingData{Reason: "x", LastFailure: "x"},
		TypeRecovered:   failingData{Reason: "x"},
		TypeDiverted:    divertedData{},
		TypeExpired:     expiredData{},
	} {
		listed, ok := catalog.LookupEventType(eventType)
		require.True(t, ok, eventType)
		text, err := json.Marshal(data)
		require.NoError(t, err)
		require.Equal(t, members(t, text), members(t, listed.Sample), eventType)
	}
}

func members(t *testing.T, text []byte) []string {
	t.Helper()
	var object map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &object))
	return slices.Sorted(maps.Keys(object))
}
