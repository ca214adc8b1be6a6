package dialect_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// socotraPageEvents are the names in the enumeration of the page, in its order.
var socotraPageEvents = strings.Fields(`
	cancellation.create cancellation.update cancellation.rescind cancellation.issue cancellation.effective
	claim.close claim.create claim.discard claim.open claim.update policy.gracePeriod policy.gracePeriod.update
	invoice.issue invoice.invalidate invoice.pastDue invoice.writtenOff payment.pay policy.cancel policy.create
	policy.discard policy.endorse policy.finalize policy.issue policy.lapse policy.reinstatement.close
	policy.reinstatement.invoice policy.reinstatement.issue policy.reinstatement.open policy.renew policy.update
	policy.upgrade subClaim.open subClaim.update subClaim.close subClaim.reopen subClaim.updateReserve
	policy.end.reminder subClaim.createPayable subClaim.reversePayable endorsement.create endorsement.update
	endorsement.quote endorsement.accept endorsement.issue endorsement.invalidate endorsement.discard
	endorsement.effective reinstatement.accept reinstatement.create reinstatement.issue reinstatement.invalidate
	reinstatement.deadlineReached reinstatement.effective renewal.create renewal.update renewal.quote
	renewal.accept renewal.issue renewal.invalidate renewal.discard renewal.effective policy.effective policy.end
	policy.quote.create policy.quote.discard policy.quote.update policy.quote.quoted policy.quote.accept
	policy.quote.declined policy.quote.invalidate premiumReport.create premiumReport.update premiumReport.issue
	premiumReport.discard premiumReport.reverse premiumReport.replace premiumReport.effective premiumReport.pay
	login.success login.failure policyholder.create policyholder.update payment.reverse payment.update
	payment.ready payment.discard payment.return payment.decline payment.draft policy.gracePeriod.satisfied
	disbursement.issue disbursement.create disbursement.update catchUp.issue catchUp.writtenOff catchUp.pay
	catchUp.pay.reverse catchUp.invalidate catchUp.pastDue cash.transfer`)

// pageEvents are what each page lists. The page of the claims platform names two, in their first version.
var pageEvents = map[catalog.Platform][]string{
	catalog.PlatformOphelos:   ophelosPageEvents,
	catalog.PlatformSocotra:   socotraPageEvents,
	catalog.PlatformOcelot:    {"IncomingSms.received", "OutboundSms.delivered", "OutboundSms.deliveryFailed", "PhoneNumber.optedOut", "PhoneNumber.optedIn"},
	catalog.PlatformDonutwork: {"RecurringPayments.charge.paid", "RecurringPayments.charge.failed"},
	catalog.PlatformReceeve:   {"event.claim.created.v1", "event.claim.updated.v1"},
}

// The catalog has the types of each page, spelled as they are there and in that order, and "*" means them and no others.
func TestPageEvents(t *testing.T) {
	count := map[catalog.Platform]int{}
	for platform, names := range pageEvents {
		var known []string
		for _, et := range catalog.PlatformTypes(platform) {
			known = append(known, et.Name)
		}
		require.ElementsMatch(t, names, known, platform)
		if platform != catalog.PlatformSocotra && platform != catalog.PlatformOphelos { // whose types are of several domains
			require.Equal(t, names, known)
		}
		count[platform] = len(names)
	}
	require.Equal(t, map[catalog.Platform]int{"ophelos": 54, "socotra": 100, "ocelot": 5, "donutwork": 2, "receeve": 2}, count)

	a := newSocotra(t)
	for _, row := range []struct {
		platform           catalog.Platform
		method, path, body string
		member             string
	}{
		{catalog.PlatformOphelos, http.MethodPost, ophelosWebhooks, `{"url":"https://example.com","enabled_events":EVENTS}`, ""},
		{catalog.PlatformSocotra, http.MethodPut, socotraHooks, `{"name":"w","integrationName":"claims","events":EVENTS}`, "events"},
		{catalog.PlatformOcelot, http.MethodPost, ocelotWebhooks, `{"id":"w","url":"https://example.com","matchingEvents":EVENTS}`, "matchingEvents"},
		{catalog.PlatformDonutwork, http.MethodPost, donutwork + "/webhooks.json", `{"webhook":{"name":"w","url":"https://example.com","events":EVENTS}}`, "events"},
	} {
		every, err := json.Marshal(pageEvents[row.platform])
		require.NoError(t, err)
		for i, events := range []string{`["*"]`, string(every)} {
			tenant := header{"Relay-Tenant", string(row.platform) + string(rune('a'+i))}
			if row.platform == catalog.PlatformSocotra {
				a.do(http.MethodPost, socotraIntegrations, `{"name":"claims","url":"https://example.com"}`, tenant).is(http.StatusOK)
			}
			answer := a.do(row.method, row.path, strings.Replace(row.body, "EVENTS", events, 1), tenant)
			require.Less(t, answer.status, 300, "%s", answer.body)
			if row.member != "" {
				require.ElementsMatch(t, pageEvents[row.platform], names(t, answer.member(row.member)))
			} else {
				require.JSONEq(t, `["*"]`, answer.member("enabled_events"))
			}
			items := a.do(http.MethodGet, "/v1/webhooks", "", tenant).is(http.StatusOK).object()["items"].([]any)
			require.ElementsMatch(t, pageEvents[row.platform], items[0].(map[string]any)["events"], "the platform's types, and nobody else's")
		}
		for other, names := range pageEvents {
			if other == row.platform {
				continue
			}
			foreign, err := json.Marshal(names[:1])
			require.NoError(t, err)
			a.do(row.method, row.path, strings.Replace(row.body, "EVENTS", string(foreign), 1)).refused(http.StatusUnprocessableEntity)
		}
	}
}
