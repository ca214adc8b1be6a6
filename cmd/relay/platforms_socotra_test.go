package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/payload/receive"
)

// TestPlatforms_SocotraSuspends walks through failure handling as the page has it: a failure suspends the webhook, the alert
// integration is told of both, what comes meanwhile is diverted, and the calls of the page bring it back. Beside it are one that
// says nothing about failures, whose events are dropped, and one that tells nobody.
func TestPlatforms_SocotraSuspends(t *testing.T) {
	t.Parallel()
	f := newFleet(t, time.Second)
	at := newReceivers(t, f, "claims", "quiet", "mute", "pager")
	p := &platformTest{t: t, f: f, p: f.start(t, "one"), at: at, cases: platformCases()[1:2]}
	p.p.awaitReady(t, f)
	for _, name := range []string{"claims", "quiet", "mute", "pager"} {
		secret := name + "-secret-0123456789"
		p.call(http.MethodPost, "/socotra/integrations", fmt.Sprintf(`{"name":%q,"url":%q,"securitySpec":{"hmacEnabled":true,"secret":%q}}`, name, at.url+"/"+name, secret), nil)
		at.box(name).expect(t, receive.Options{Format: catalog.FormatSocotra, Secret: catalog.NewSecret(secret)}, nil)
	}
	const hook = "/socotra/webhooks/strict"
	p.call(http.MethodPut, "/socotra/webhooks", `{"name":"strict","integrationName":"claims","alertIntegrationName":"pager","events":["claim.open"],
		"retryStrategy":"none","failureHandling":{"mode":"suspend","actOnStatusCodes":["500"],"actOnTimeout":true}}`, nil)

	p.call(http.MethodPut, "/socotra/webhooks", `{"name":"quiet","integrationName":"quiet","alertIntegrationName":"pager","events":["claim.open"]}`, nil)
	p.call(http.MethodPut, "/socotra/webhooks", `{"name":"mute","integrationName":"mute","alertIntegrationName":"pager","events":["claim.open"]}`, nil)
	p.call(http.MethodPut, "/socotra/webhooks", `{"name":"mute","resetAlertIntegrationName":true}`, nil)
	at.box("quiet").answers(http.StatusNotFound)
	at.box("mute").answers(http.StatusNotFound)

	claim := p.cases[0]
	at.box("claims").answers(http.StatusInternalServerError)
	p.publish(claim, "aa-1", true)
	var failures map[string]receive.FailureMessage
	var suspended *receive.Suspended
	require.Eventually(t, func() bool {
		failures, suspended = alerts(at.box("pager"))
		return len(failures) == 2 && suspended != nil
	}, time.Minute, 20*time.Millisecond, "the alert integration was not told:\n%s", &f.logs)
	require.Equal(t, map[string]receive.FailureMessage{
		"strict": {WebhookName: "strict", URL: at.url + "/claims", ExpectedStatus: "2xx", ActualStatus: "500", EventData: json.RawMessage(claim.data)},
		"quiet":  {WebhookName: "quiet", URL: at.url + "/quiet", ExpectedStatus: "2xx", ActualStatus: "404", EventData: json.RawMessage(claim.data)},
	}, failures)
	require.Equal(t, &receive.Suspended{Event: "claim.open", IntegrationName: "claims", WebhookName: "strict"}, suspended)
	var shown map[string]any
	p.call(http.MethodGet, hook, "", &shown)
	require.Equal(t, true, shown["suspended"])
	millis, err := strconv.ParseInt(shown["suspendedTimestamp"].(string), 10, 64)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), time.UnixMilli(millis), time.Hour)

	// While it is suspended nothing is sent, also when it is asked for.
	p.publish(claim, "aa-2", false)
	p.publish(claim, "bb-1", true)
	p.awaitDiverted("strict", 3)
	status, err := p.p.api.call(t.Context(), http.MethodPost, hook+"/diverted/tx-aa/resend", nil, nil)
	require.Error(t, err)
	require.Equal(t, http.StatusConflict, status)
	require.Len(t, at.box("claims").of("aa-1"), 1)
	require.Empty(t, at.box("claims").of("aa-2"))

	// Enabled again, it gets what is new; what was diverted stays until it is resent, all events of a transaction at once.
	at.box("claims").answers(http.StatusOK)
	shown = nil
	p.call(http.MethodPatch, hook+"/unsuspend", "", &shown)
	require.Equal(t, false, shown["suspended"])
	require.NotContains(t, shown, "suspendedTimestamp")
	p.publish(claim, "cc-1", true)
	at.arrivals(t, f, "claims", "cc-1", 1)
	p.awaitDiverted("strict", 3)
	p.call(http.MethodPost, hook+"/diverted/tx-aa/resend", "", nil)
	at.arrivals(t, f, "claims", "aa-1", 2)
	at.arrivals(t, f, "claims", "aa-2", 1)
	p.awaitDiverted("strict", 1)
	deleted, err := p.p.api.call(t.Context(), http.MethodDelete, hook+"/diverted/tx-bb", nil, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, deleted)
	p.awaitDiverted("strict", 0)
	require.Empty(t, at.box("claims").of("bb-1"))
	for _, name := range []string{"quiet", "mute"} {
		at.arrivals(t, f, name, "cc-1", 1)
		p.awaitDiverted(name, 0)
		require.Len(t, at.box(name).of("aa-1"), 1, "no retry, and nothing kept")
	}
	failures, _ = alerts(at.box("pager"))
	require.NotContains(t, failures, "mute")
	at.judge(t)
}

// alerts are the FailureMessages that arrived, by webhook, and the suspended event.
func alerts(b *inbox) (failures map[string]receive.FailureMessage, suspended *receive.Suspended) {
	b.mu.Lock()
	defer b.mu.Unlock()
	failures = map[string]receive.FailureMessage{}
	for _, a := range b.arrived {
		if a.Failure != nil {
			failures[a.Failure.WebhookName] = *a.Failure
			continue
		}
		data, err := receive.OpenSuspended(a.Data)
		if err != nil || a.Type != "webhook.suspended" {
			b.faults = append(b.faults, fmt.Sprintf("%s: %v", a.body, err))
		}
		suspended = &data
	}
	return failures, suspended
}
