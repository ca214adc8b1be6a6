package dialect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/admin"
	"eventrelay/admin/dialect"
	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/divert"
)

const socotraDiverted = socotraHooks + "/w/diverted"

// withDiverted has the webhook "w" and diverts the events for it, the first one first.
func withDiverted(t *testing.T, events []*catalog.Event, options ...option) (a *api, uid string, deliveries []*relay.Delivery) {
	t.Helper()
	a = newSocotra(t, options...)
	a.do(http.MethodPut, socotraHooks, `{"name":"w","integrationName":"claims","events":["*"]}`).is(http.StatusOK)
	view, err := a.hooks.FindOn(catalog.DefaultTenant, catalog.PlatformSocotra, "w")
	require.NoError(t, err)
	for i, ev := range events {
		deliveries = append(deliveries, a.divert(view.Webhook.UID, ev, int64(i)))
	}
	return a, view.Webhook.UID, deliveries
}

// claimOpened is the n-th event, of the transaction.
func claimOpened(n int, transaction string) *catalog.Event {
	data := []byte(fmt.Sprintf(`{"z":1, "amount":12345678901234567890.10,"n":%d}`, n))
	return &catalog.Event{
		ID: fmt.Sprintf("evt-%d", n), Source: "/test", Type: "claim.open", Domain: "claim", Tenant: catalog.DefaultTenant,
		Time: time.UnixMilli(1_700_000_000_000 + int64(n)), TransactionID: transaction, User: catalog.User{Name: "alice"},
		Raw: data, Data: data, Span: catalog.Span{To: len(data)}, Livemode: true,
	}
}

// diverted decodes a page and checks its webhook.
func (r reply) diverted() []map[string]any {
	r.t.Helper()
	r.is(http.StatusOK)
	require.Equal(r.t, "application/json", r.header.Get("Content-Type"))
	var page struct {
		WebhookName string           `json:"webhookName"`
		Events      []map[string]any `json:"events"`
	}
	require.NoError(r.t, json.Unmarshal(r.body, &page), "%s", r.body)
	require.Equal(r.t, "w", page.WebhookName)
	require.NotNil(r.t, page.Events)
	return page.Events
}

func (r reply) eventIDs() []string {
	r.t.Helper()
	ids := []string{}
	for _, e := range r.diverted() {
		ids = append(ids, e["eventId"].(string))
	}
	return ids
}

// TestSocotra_DivertedFields reads every field of a diverted event, and the data as it was written.
func TestSocotra_DivertedFields(t *testing.T) {
	alone := claimOpened(2, "")
	alone.User = catalog.User{}
	nameless := claimOpened(3, "")
	nameless.ID = ""
	text := claimOpened(4, "t4")
	text.Raw, text.Data, text.Span = []byte("no JSON"), []byte("no JSON"), catalog.Span{To: 7}
	empty := claimOpened(5, "t5")
	empty.Raw, empty.Data, empty.Span = nil, nil, catalog.Span{}
	a, _, deliveries := withDiverted(t, []*catalog.Event{claimOpened(1, "t1"), alone, nameless, text, empty})

	answer := a.do(http.MethodGet, socotraDiverted, "")
	events := answer.diverted()
	require.Len(t, events, 5)
	byID := map[any]map[string]any{}
	for _, e := range events {
		byID[e["eventId"]] = e
		delete(e, "data")
	}
	require.Equal(t, map[string]any{
		"eventType": "claim.open", "timestamp": "1700000000001", "eventId": "evt-1", "transactionId": "t1", "username": "alice",
	}, byID["evt-1"])
	require.Contains(t, string(answer.body), `"data":{"z":1, "amount":12345678901234567890.10,"n":1}`, "the platform's bytes")
	require.Equal(t, map[string]any{
		"eventType": "claim.open", "timestamp": "1700000000002", "eventId": "evt-2", "transactionId": "evt-2",
	}, byID["evt-2"], "no transaction: the event's id; no user: left out")
	require.Equal(t, deliveries[2].ID, byID[deliveries[2].ID]["transactionId"], "neither: the delivery's")
	require.Contains(t, string(answer.body), `"data":"bm8gSlNPTg=="`)
	require.Contains(t, string(answer.body), `"data":null`)
}

// TestSocotra_DivertedPages pages by limit and offset, the latest diverted first.
func TestSocotra_DivertedPages(t *testing.T) {
	var events []*catalog.Event
	for n := range 5 {
		events = append(events, claimOpened(n, "t"))
	}
	a, _, _ := withDiverted(t, events)
	all := a.do(http.MethodGet, socotraDiverted, "").eventIDs()
	require.Len(t, all, 5)
	for _, row := range []struct {
		query string
		want  []string
	}{
		{"?limit=2", all[:2]}, {"?limit=2&offset=2", all[2:4]}, {"?offset=4&limit=2", all[4:]}, {"?offset=5", []string{}},
		{"?offset=2147483647", []string{}}, {"?limit=500", all}, {"?limit=0", []string{}}, {"?limit=&offset=", all}, {"?unknown=1", all},
	} {
		require.Equal(t, row.want, a.do(http.MethodGet, socotraDiverted+row.query, "").eventIDs(), row.query)
	}
	for _, query := range []string{"limit=-1", "limit=501", "limit=two", "offset=-1", "offset=99999999999", "offset=1.5"} {
		a.do(http.MethodGet, socotraDiverted+"?"+query, "").refused(http.StatusBadRequest)
	}
	require.Len(t, a.do(http.MethodGet, "/v1/webhooks/w/diverted", "").is(http.StatusOK).object()["items"], 5, "one store")
}

// TestSocotra_DeleteDiverted removes every event of the transaction and no other.
func TestSocotra_DeleteDiverted(t *testing.T) {
	a, _, deliveries := withDiverted(t, []*catalog.Event{
		claimOpened(1, "a/b"), claimOpened(2, "other"), claimOpened(3, "a/b"), claimOpened(4, ""), claimOpened(5, "evt-4"), {
			Source: "/test", Type: "claim.open", Domain: "claim", Tenant: catalog.DefaultTenant, Time: time.UnixMilli(1), Raw: []byte("{}"), Data: []byte("{}"), Span: catalog.Span{To: 2},
		},
	})
	require.Empty(t, a.do(http.MethodDelete, socotraDiverted+"/a%2Fb", "").is(http.StatusOK).body, "void")
	require.ElementsMatch(t, []string{"evt-2", "evt-4", "evt-5", deliveries[5].ID}, a.do(http.MethodGet, socotraDiverted, "").eventIDs())
	a.do(http.MethodDelete, socotraDiverted+"/a%2Fb", "").refused(http.StatusNotFound)
	a.do(http.MethodDelete, socotraDiverted+"/evt-2", "").refused(http.StatusNotFound) // it has a transaction
	a.do(http.MethodDelete, socotraDiverted+"/"+deliveries[1].ID, "").refused(http.StatusNotFound)
	a.do(http.MethodDelete, socotraDiverted+"/evt-4", "").is(http.StatusOK)
	require.ElementsMatch(t, []string{"evt-2", deliveries[5].ID}, a.do(http.MethodGet, socotraDiverted, "").eventIDs(), "one was of that transaction, one shown as of it")
	a.do(http.MethodDelete, socotraDiverted+"/"+deliveries[5].ID, "").is(http.StatusOK)
	require.Equal(t, []string{"evt-2"}, a.do(http.MethodGet, socotraDiverted, "").eventIDs())
}

// TestSocotra_ResendDiverted sends every event of the transaction, once however often it is asked for.
func TestSocotra_ResendDiverted(t *testing.T) {
	a, uid, deliveries := withDiverted(t, []*catalog.Event{claimOpened(1, "t"), claimOpened(2, "other"), claimOpened(3, "t")})
	a.do(http.MethodPost, socotraDiverted+"/nothing/resend", "").refused(http.StatusNotFound)

	_, err := a.hooks.Suspend(t.Context(), uid, "test", "")
	require.NoError(t, err)
	require.Contains(t, a.do(http.MethodPost, socotraDiverted+"/t/resend", "").refused(http.StatusConflict), "suspended")
	require.Empty(t, a.resent.due)
	a.do(http.MethodPatch, socotraHooks+"/w/unsuspend", "").is(http.StatusOK)

	for range 2 {
		require.Empty(t, a.do(http.MethodPost, socotraDiverted+"/t/resend", "", header{"Content-Type", ""}).is(http.StatusOK).body, "void")
	}
	require.Len(t, a.resent.due, 2)
	ids := []string{(<-a.resent.due).ID, (<-a.resent.due).ID}
	require.ElementsMatch(t, []string{deliveries[0].ID, deliveries[2].ID}, ids)
	require.Len(t, a.do(http.MethodGet, socotraDiverted, "").eventIDs(), 3, "listed until they are delivered")
}

// brokenReads fails after some events were read.
type brokenReads struct {
	dialect.Diverted
	left int
}

func (b *brokenReads) Read(ctx context.Context, e divert.Entry) (divert.Detail, error) {
	if b.left--; b.left < 0 {
		return divert.Detail{}, errors.New("broker is gone")
	}
	return b.Diverted.Read(ctx, e)
}

// A page that cannot be completed is an error, or a connection that is cut: never a page that looks whole.
func TestSocotra_DivertedPageThatBreaksOff(t *testing.T) {
	broken := &brokenReads{}
	a, _, _ := withDiverted(t, []*catalog.Event{claimOpened(1, "t"), claimOpened(2, "t")}, func(s *dialect.Services, _ *admin.Options) {
		broken.Diverted = s.Diverted
		s.Diverted = broken
	})
	a.do(http.MethodGet, socotraDiverted, "").refused(http.StatusServiceUnavailable)

	broken.left = 1
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+socotraDiverted, nil)
	require.NoError(t, err)
	r.SetBasicAuth("relay", testKey)
	once := &http.Transport{DisableKeepAlives: true} // which makes no second request when the first is cut
	answer, err := once.RoundTrip(r)
	if err == nil { // the first part arrived before the cut
		var page any
		err = json.NewDecoder(answer.Body).Decode(&page)
		_ = answer.Body.Close()
	}
	require.Error(t, err)
}
