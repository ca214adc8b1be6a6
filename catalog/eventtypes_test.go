package catalog

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEventTypes(t *testing.T) {
	byPlatform := map[string]int{}
	for _, et := range EventTypes() {
		byPlatform[et.Platform]++
		require.NotEmpty(t, et.Description, et.Name)
		require.True(t, IsDomain(et.Domain) || et.Domain == DomainRelay, et.Name)
		require.Equal(t, et.Domain == DomainRelay, IsRelayEvent(et.Name), et.Name)

		p, err := ParsePattern(et.Name)
		require.NoError(t, err)
		require.True(t, p.Match(et.Name))

		var sample map[string]any
		require.NoError(t, json.Unmarshal(et.Sample, &sample), "the sample of %s is an object", et.Name)
		require.NotEmpty(t, sample)
	}
	require.Equal(t, map[string]int{"ophelos": 54, "socotra": 100, "ocelot": 5, "donutwork": 2, "receeve": 2, "v1": 6}, byPlatform)
	for platform, n := range byPlatform {
		require.Len(t, PlatformTypes(Platform(platform)), n)
	}
}

// TestDomainsOfTypes holds the rule by which types were assigned to domains.
func TestDomainsOfTypes(t *testing.T) {
	rules := []struct{ domain, prefixes string }{
		{"payment", "payment. payment_plan. invoice. catchUp. cash. disbursement. RecurringPayments."},
		{"debt", "customer. customer_contact_detail. debt."},
		{"claim", "claim. subClaim. event."},
		{"sms", "IncomingSms. OutboundSms. PhoneNumber."},
		{DomainRelay, "relay."},
		{"policy", " "},
	}
	domainOf := func(name string) string {
		for _, rule := range rules {
			for prefix := range strings.FieldsSeq(rule.prefixes) {
				if strings.HasPrefix(name, prefix) {
					return rule.domain
				}
			}
		}
		return "policy"
	}
	for _, et := range EventTypes() {
		require.Equal(t, domainOf(et.Name), et.Domain, et.Name)
	}
}

func TestLookupEventType(t *testing.T) {
	et, found := LookupEventType("debt.paid")
	require.True(t, found)
	require.Equal(t, "debt", et.Domain)
	require.Equal(t, "ophelos", et.Platform)
	require.Equal(t, "Triggered when debt is fully paid off", et.Description)
	require.Contains(t, string(et.Sample), `"status": "paid"`, "an exact prefix wins over the family's sample")

	_, found = LookupEventType("debt.initialzing") // as the platform's page spells it
	require.True(t, found)
	_, found = LookupEventType("debt.*")
	require.False(t, found)
}

func TestDomains(t *testing.T) {
	require.Equal(t, []string{"debt", "payment", "claim", "policy", "sms"}, Domains())
	require.False(t, IsDomain(DomainRelay))
	Domains()[0] = "changed"
	require.True(t, IsDomain("debt"), "callers get a copy")
	EventTypes()[0].Name = "changed"
	require.NotEqual(t, "changed", EventTypes()[0].Name)
}

func TestVersions(t *testing.T) {
	for name, base := range map[string]string{
		"event.claim.created.v1": "event.claim.created", "event.claim.created.v23": "event.claim.created",
		"event.claim.created": "", "event.claim.created.v": "", "event.claim.created.v1x": "",
		"debt.paid.v1": "", "debt.paid": "", ".v1": "", "": "",
	} {
		got, versioned := VersionBase(name)
		require.Equal(t, base != "", versioned, name)
		require.Equal(t, base, got, name)
	}
	for name, known := range map[string]bool{
		"debt.paid": true, "event.claim.updated": true, "event.claim.updated.v1": true, "event.claim.updated.v2": true,
		"relay.webhook.suspended": true, "debt.paid.v1": false, "debt.vanished": false,
	} {
		require.Equal(t, known, IsKnownType(name), name)
	}
}

func ExampleLookupEventType() {
	et, _ := LookupEventType("IncomingSms.received")
	fmt.Println(et.Domain, et.Platform, et.Description)
	// Output: sms ocelot An SMS was received
}
