package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTestCall_ShowsTheExchange(t *testing.T) {
	a := newAPI(t)
	uid := a.create(`{"id":"w","url":"https://example.com/","events":["payment.*"]}`)
	a.tester.exchange = Exchange{URL: "https://example.com/", Headers: []Header{{"webhook-id", "msg_1"}}, Body: []byte(`{"a":1}`), Status: 418,
		ResponseHeaders: []Header{{"X-A", "\xff"}}, ResponseBody: []byte("\xffno"), Latency: 1500 * time.Microsecond}
	got := a.do(http.MethodPost, "/v1/webhooks/w/test", "").is(http.StatusOK).json()
	require.Equal(t, false, got["delivered"])
	require.Equal(t, 1.5, got["latencyMs"])
	require.Nil(t, got["error"])
	require.Equal(t, map[string]any{"method": "POST", "url": "https://example.com/", "headers": []any{map[string]any{"name": "webhook-id", "value": "msg_1"}}, "body": `{"a":1}`}, got["request"])
	require.Equal(t, map[string]any{"status": 418.0, "headers": []any{map[string]any{"name": "X-A", "value": "\uFFFD"}}, "body": "\uFFFDno"}, got["response"])

	ev := a.tester.sent[0]
	require.Equal(t, uid, a.tester.webhook.UID)
	require.True(t, strings.HasPrefix(ev.ID, "test_"), "the id marks a test")
	require.Equal(t, got["eventId"], ev.ID)
	require.True(t, strings.HasPrefix(ev.Type, "payment."), "the first type that its patterns want: %s", ev.Type)
	require.Equal(t, "payment", ev.Domain)
	require.False(t, ev.Livemode)
	require.NotEmpty(t, ev.Data)

	a.tester.exchange = Exchange{Error: "timeout"}
	got = a.do(http.MethodPost, "/v1/webhooks/w/test", `{"type":"debt.paid","office":"north"}`).is(http.StatusOK).json()
	require.Equal(t, "timeout", got["error"])
	require.Nil(t, got["response"])
	require.Equal(t, "north", a.tester.sent[1].Office)
	require.Equal(t, "debt.paid", a.tester.sent[1].Type)
}

func TestTestCall_Refusals(t *testing.T) {
	a := newAPI(t)
	a.create(`{"id":"w","url":"https://example.com/"}`)
	a.create(`{"id":"none","url":"https://example.com/","events":[]}`)
	a.do(http.MethodPost, "/v1/webhooks/none/test", "").problem(kindInvalid)
	a.do(http.MethodPost, "/v1/webhooks/none/test", `{"type":"debt.paid"}`).is(http.StatusOK)
	a.do(http.MethodPost, "/v1/webhooks/w/test", `{"type":"no.such"}`).problem(kindInvalid)
	a.do(http.MethodPost, "/v1/webhooks/w/test", "", header{headerTenant, "other"}).problem(kindNotFound)
	a.tester.fail = fmt.Errorf("%w: no integration", ErrCannotSend)
	a.do(http.MethodPost, "/v1/webhooks/w/test", "").problem(kindCannotSend)
	a.tester.fail = errors.New("dial 10.0.0.1: too many open files")
	answer := a.do(http.MethodPost, "/v1/webhooks/w/test", "")
	answer.problem(kindUnavailable)
	require.NotContains(t, string(answer.body), "10.0.0.1")
}

func TestTestCall_IsRateLimitedPerTenant(t *testing.T) {
	a := newAPI(t)
	a.create(`{"id":"w","url":"https://example.com/"}`)
	a.create(`{"id":"w","url":"https://example.com/"}`, header{headerTenant, "other"})
	var answer reply
	for range 2 * testBurst {
		if answer = a.do(http.MethodPost, "/v1/webhooks/w/test", ""); answer.status != http.StatusOK {
			break
		}
	}
	answer.problem(kindRateLimited)
	require.NotEmpty(t, answer.header.Get("Retry-After"))
	a.do(http.MethodPost, "/v1/webhooks/w/test", "", header{headerTenant, "other"}).is(http.StatusOK)
	for range maxTests {
		a.server.tests.slots <- struct{}{}
	}
	a.do(http.MethodPost, "/v1/webhooks/w/test", "", header{headerTenant, "other"}).problem(kindRateLimited)
}
