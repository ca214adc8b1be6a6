package dialect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/admin"
	"eventrelay/admin/dialect"
	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
)

const donutwork = "/donutwork/2026-02-01"

// donutworkExample is the body of the page.
const donutworkExample = `{"webhook":{"name":"Billing Events","description":"Receive invoice and payment updates",
	"url":"https://example.com/webhooks/billing","events":["RecurringPayments.charge.paid"]}}`

// TestDonutwork_Calls makes the calls of the page in its order.
func TestDonutwork_Calls(t *testing.T) {
	a := newAPI(t)
	require.JSONEq(t, `{"entities":"Webhook","count":0,"per_page":100,"pages":{"current":1,"max":1},"elements":[]}`,
		string(a.do(http.MethodGet, donutwork+"/webhooks.json", "").is(http.StatusOK).body))

	created := a.do(http.MethodPost, donutwork+"/webhooks.json", donutworkExample).is(http.StatusOK).object()
	id, token := created["id"].(string), created["token"].(string)
	require.NotEmpty(t, id)
	require.GreaterOrEqual(t, len(token), 32)
	want := map[string]any{
		"id": id, "name": "Billing Events", "description": "Receive invoice and payment updates",
		"url": "https://example.com/webhooks/billing", "events": []any{"RecurringPayments.charge.paid"}, "token": token,
	}
	require.Equal(t, want, created)
	want["token"] = "redacted" // from now on

	list := a.do(http.MethodGet, donutwork+"/webhooks.json", "").is(http.StatusOK).object()
	require.Equal(t, map[string]any{
		"entities": "Webhook", "count": 1.0, "per_page": 100.0, "pages": map[string]any{"current": 1.0, "max": 1.0}, "elements": []any{want},
	}, list)
	require.JSONEq(t, `["RecurringPayments.charge.paid","RecurringPayments.charge.failed"]`,
		string(a.do(http.MethodGet, donutwork+"/webhooks/types.json", "").is(http.StatusOK).body))

	for _, path := range []string{"/webhooks/" + id + ".json", "/webhook.json?webhookId=" + id} {
		require.Equal(t, want, a.do(http.MethodGet, donutwork+path, "").is(http.StatusOK).object())
	}
	require.JSONEq(t, fmt.Sprintf(`{"id":%q,"deleted":true}`, id), string(a.do(http.MethodDelete, donutwork+"/webhooks/"+id+".json", "").is(http.StatusOK).body))

	second := a.do(http.MethodPost, donutwork+"/webhooks.json", donutworkExample).is(http.StatusOK).object()
	require.NotEqual(t, id, second["id"])
	require.NotEqual(t, token, second["token"])
	a.do(http.MethodDelete, donutwork+"/webhook.json?webhookId="+second["id"].(string), "").is(http.StatusOK)
	require.Zero(t, a.hooks.Count())

	for _, path := range []string{"/webhooks/" + id + ".json", "/webhook.json?webhookId=" + id} {
		require.Equal(t, "Webhook not found.", a.do(http.MethodGet, donutwork+path, "").refused(http.StatusNotFound))
		require.Equal(t, "Webhook not found. Unable to delete unknown resource", a.do(http.MethodDelete, donutwork+path, "").refused(http.StatusNotFound))
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		require.Equal(t, `A valid "webhookId" must be specified.`, a.do(method, donutwork+"/webhook.json", "").refused(http.StatusBadRequest))
	}
	a.do(http.MethodGet, "/donutwork/2026-02-02/webhooks.json", "").refused(http.StatusNotFound)
	a.do(http.MethodPut, donutwork+"/webhooks/"+id+".json", donutworkExample).refused(http.StatusMethodNotAllowed)
}

// TestDonutwork_StoredWebhook is what the other views see.
func TestDonutwork_StoredWebhook(t *testing.T) {
	a := newAPI(t)
	created := a.do(http.MethodPost, donutwork+"/webhooks.json", donutworkExample).is(http.StatusOK).object()
	view, err := a.hooks.FindOn(catalog.DefaultTenant, catalog.PlatformDonutwork, created["id"].(string))
	require.NoError(t, err)
	w := view.Webhook
	require.Equal(t, catalog.FormatDonutwork, w.Format)
	require.Equal(t, catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{{Value: catalog.NewSecret(created["token"].(string)), Encoding: catalog.SecretRaw}}}, w.Signing)
	require.Equal(t, catalog.RetryStandard, w.Retry)
	require.Equal(t, catalog.DefaultFailureHandling(), w.FailureHandling)
	v1 := a.canonical(created["id"].(string))
	require.Equal(t, "Billing Events", v1["displayName"])
	require.NotContains(t, fmt.Sprint(v1), created["token"])

	patch := `{"displayName":"Renamed","events":["RecurringPayments.*","debt.paid"]}`
	a.do(http.MethodPatch, "/v1/webhooks/"+w.UID, patch, header{"Content-Type", "application/merge-patch+json"}).is(http.StatusOK)
	shown := a.do(http.MethodGet, donutwork+"/webhooks/"+w.ID+".json", "").is(http.StatusOK).object()
	require.Equal(t, "Renamed", shown["name"])
	require.Equal(t, []any{"RecurringPayments.charge.paid", "RecurringPayments.charge.failed"}, shown["events"])
	a.do(http.MethodPost, "/v1/integrations", `{"name":"in","url":"https://example.com/shared"}`).is(http.StatusCreated)
	a.do(http.MethodPatch, "/v1/webhooks/"+w.UID, `{"url":null,"integration":"in","signing":null}`, header{"Content-Type", "application/merge-patch+json"}).is(http.StatusOK)
	require.Equal(t, "https://example.com/shared", a.do(http.MethodGet, donutwork+"/webhooks/"+w.ID+".json", "").is(http.StatusOK).object()["url"])
}

// TestDonutwork_Events takes an array, a single name and all.
func TestDonutwork_Events(t *testing.T) {
	a := newAPI(t)
	const both = `["RecurringPayments.charge.paid","RecurringPayments.charge.failed"]`
	for _, row := range []struct{ sent, shown string }{
		{`["RecurringPayments.charge.failed"]`, `["RecurringPayments.charge.failed"]`},
		{`"RecurringPayments.charge.failed"`, `["RecurringPayments.charge.failed"]`},
		{both, both}, {`"*"`, both}, {`["*"]`, both},
		{`["RecurringPayments.charge.paid","RecurringPayments.charge.paid"]`, `["RecurringPayments.charge.paid"]`},
	} {
		body := fmt.Sprintf(`{"webhook":{"name":"n","url":"https://example.com","events":%s}}`, row.sent)
		answer := a.do(http.MethodPost, donutwork+"/webhooks.json", body).is(http.StatusOK)
		require.JSONEq(t, row.shown, answer.member("events"))
		require.JSONEq(t, `""`, answer.member("description"))
	}
}

func TestDonutwork_Pages(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, "/v1/webhooks", `{"url":"https://example.com"}`).is(http.StatusCreated) // not of this list
	for n := range 5 {
		body := fmt.Sprintf(`{"webhook":{"name":"w%d","url":"https://example.com","events":"*"}}`, n)
		a.do(http.MethodPost, donutwork+"/webhooks.json", body).is(http.StatusOK)
	}
	type page struct {
		Count    int                          `json:"count"`
		PerPage  int                          `json:"per_page"`
		Pages    struct{ Current, Max int }   `json:"pages"`
		Elements []struct{ ID, Token string } `json:"elements"`
	}
	get := func(query string) (p page) {
		require.NoError(t, json.Unmarshal(a.do(http.MethodGet, donutwork+"/webhooks.json"+query, "").is(http.StatusOK).body, &p))
		return p
	}
	all := get("").Elements
	require.Len(t, all, 5)
	for _, row := range []struct {
		query               string
		size, current, last int
		first, next         int // in all
	}{
		{"?size=100&page=1", 100, 1, 1, 0, 5}, {"?size=2", 2, 1, 3, 0, 2}, {"?size=2&page=2", 2, 2, 3, 2, 4}, {"?size=2&page=3", 2, 3, 3, 4, 5},
		{"?size=5", 5, 1, 1, 0, 5}, {"?size=1&page=5", 1, 5, 5, 4, 5}, {"?size=2&page=4", 2, 4, 3, 5, 5}, {"?page=1000000000", 100, 1000000000, 1, 5, 5},
	} {
		p := get(row.query)
		require.Equal(t, [4]int{5, row.size, row.current, row.last}, [4]int{p.Count, p.PerPage, p.Pages.Current, p.Pages.Max}, row.query)
		require.ElementsMatch(t, all[row.first:row.next], p.Elements, row.query)
	}
	for _, field := range []string{"size", "page"} {
		for _, value := range []string{"0", "-1", "101x", "1.5", "99999999999"} {
			require.Equal(t, fmt.Sprintf("A valid %q must be specified.", field),
				a.do(http.MethodGet, donutwork+"/webhooks.json?"+field+"="+value, "").refused(http.StatusBadRequest))
		}
	}
	a.do(http.MethodGet, donutwork+"/webhooks.json?size=101", "").refused(http.StatusBadRequest)
}

// TestDonutwork_Errors has the page's statuses and texts; nothing is stored.
func TestDonutwork_Errors(t *testing.T) {
	a := newAPI(t)
	with := func(field, value string) string {
		fields := map[string]string{"name": `"n"`, "url": `"https://example.com"`, "events": `["RecurringPayments.charge.paid"]`}
		if fields[field] = value; value == "" {
			delete(fields, field)
		}
		var members []string
		for name, value := range fields {
			members = append(members, fmt.Sprintf("%q:%s", name, value))
		}
		return `{"webhook":{` + strings.Join(members, ",") + `}}`
	}
	for _, field := range []string{"name", "url", "events"} {
		values := []string{"", "null", `""`, "7", "{}", "true"}
		if field == "events" {
			values = append(values, "[]", "[7]", `[""]`, "[null]")
		} else {
			values = append(values, `" "`, `["https://example.com"]`)
		}
		for _, value := range values {
			require.Equal(t, fmt.Sprintf("A valid %q must be specified.", field),
				a.do(http.MethodPost, donutwork+"/webhooks.json", with(field, value)).refused(http.StatusBadRequest), value)
		}
	}
	for _, url := range []string{"example.com", "https://", "ftp://example.com", "http://example.com", "https://10.0.0.1/in", "https://u:p@example.com", "https://exam ple.com"} {
		text := a.do(http.MethodPost, donutwork+"/webhooks.json", with("url", `"`+url+`"`)).refused(http.StatusUnprocessableEntity)
		require.Regexp(t, `^A valid "url" must be specified\. .+\.$`, text)
	}
	for _, events := range []string{`"debt.paid"`, `["RecurringPayments.charge.paid","debt.paid"]`, `["RecurringPayments.*"]`} {
		require.Equal(t, "Some events are not available",
			a.do(http.MethodPost, donutwork+"/webhooks.json", with("events", events)).refused(http.StatusUnprocessableEntity))
	}
	require.Equal(t, `A valid "description" must be specified.`,
		a.do(http.MethodPost, donutwork+"/webhooks.json", with("description", "7")).refused(http.StatusBadRequest))
	require.Contains(t, a.do(http.MethodPost, donutwork+"/webhooks.json", with("name", `"`+strings.Repeat("n", 257)+`"`)).refused(http.StatusUnprocessableEntity), "webhook.name: ")
	for _, body := range []string{
		`{}`, `{"webhook":null}`, `{"webhook":[]}`, `{"webhook":"n"}`, `{"name":"n","url":"https://example.com","events":"*"}`,
		socotraMinimal, ocelotMinimal,
	} {
		require.Equal(t, `A valid "webhook" must be specified.`, a.do(http.MethodPost, donutwork+"/webhooks.json", body).refused(http.StatusBadRequest), body)
	}
	a.do(http.MethodPost, donutwork+"/webhooks.json", "").refused(http.StatusBadRequest)
	require.Zero(t, a.hooks.Count())
}

// TestDonutwork_Permissions: the page names one for each call, and they are the names of the scopes.
func TestDonutwork_Permissions(t *testing.T) {
	for _, r := range dialect.Donutwork(dialect.Services{}).Routes {
		want := dialect.WebhooksRead
		if r.Method != http.MethodGet {
			want = dialect.WebhooksWrite
		}
		require.Equal(t, want, r.Scope, "%s %s", r.Method, r.Path)
	}
	require.Equal(t, "webhooks:read webhooks:write", string(dialect.WebhooksRead+" "+dialect.WebhooksWrite))
}

// TestDonutwork_CertificateCheck asks a receiver whose certificate nobody vouches for, over the guarded client.
func TestDonutwork_CertificateCheck(t *testing.T) {
	receiver := httptest.NewUnstartedServer(http.NotFoundHandler())
	receiver.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of every handshake that fails
	receiver.StartTLS()
	defer receiver.Close()
	var client *outbound.Client
	a := newAPI(t, allowHTTP, func(s *dialect.Services, _ *admin.Options) {
		client = outbound.New(outbound.Options{Policy: s.Rules.Egress})
		s.CertificateCheck = func(ctx context.Context, u *url.URL) error { return client.CheckTLS(ctx, u.String()) }
	})
	defer client.Close()
	create := func(url string) reply {
		return a.do(http.MethodPost, donutwork+"/webhooks.json", fmt.Sprintf(`{"webhook":{"name":"n","url":%q,"events":"*"}}`, url))
	}
	require.Equal(t, `A valid "url" must be specified. TLS certificate validation failed.`, create(receiver.URL).refused(http.StatusBadRequest))
	require.Zero(t, a.hooks.Count())
	create(strings.Replace(receiver.URL, "https://", "http://", 1)).is(http.StatusOK)
}

// The check comes last, is skipped for http, and is not blamed on the URL when it could not be made.
func TestDonutwork_CertificateCheckOutcomes(t *testing.T) {
	var outcome error
	var checked []string
	a := newAPI(t, allowHTTP, func(s *dialect.Services, _ *admin.Options) {
		s.CertificateCheck = func(_ context.Context, u *url.URL) error {
			checked = append(checked, u.String())
			return outcome
		}
	})
	post := func(body string) reply { return a.do(http.MethodPost, donutwork+"/webhooks.json", body) }
	post(strings.Replace(donutworkExample, "charge.paid", "charge.lost", 1)).refused(http.StatusUnprocessableEntity)
	post(strings.Replace(donutworkExample, "https://", "http://", 1)).is(http.StatusOK)
	require.Empty(t, checked)
	post(donutworkExample).is(http.StatusOK)
	require.Equal(t, []string{"https://example.com/webhooks/billing"}, checked)

	outcome = errors.New("connect to 192.0.2.1:443: refused")
	require.NotContains(t, post(donutworkExample).refused(http.StatusBadRequest), "192.0.2.1")
	outcome = fmt.Errorf("%w: no resolver", dialect.ErrUnchecked)
	post(donutworkExample).refused(http.StatusServiceUnavailable)
	require.Equal(t, 2, a.hooks.Count())
}
