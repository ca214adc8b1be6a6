package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay/payload/receive"
)

// platformEvents are events of one platform, as the platform publishes them.
type platformEvents struct {
	path   string // of the receiver
	domain int    // index of the topic
	typ    string
	data   string
	// envelope is the platform's own record with that id and data.
	envelope func(id string) string
	// carries is what the receiver finds as data.
	carries func(id string) string
	// webhook by which /v1 knows it, set when it is made.
	webhook string
}

const eventTime = "2026-03-01T12:34:56.848Z"

// platformCases are the five. Each webhook is made through its own platform's API, as its page shows it.
func platformCases() []*platformEvents {
	same := func(data string) func(string) string { return func(string) string { return data } }
	const (
		paid  = `{"id":"dbt_8JX2","status":"paid","amount": 482.10,"sequence":9007199254740993}`
		claim = `{"claimLocator":"100012476","reserve": 1184.20}`
		sms   = `"to":"+15550100200","from":"+15550100311","triggerType":"Inbound","message":"YES \ud83d\udc4d"`
		plan  = `{"charge":{"id":"chr_0071","amount": 29.90}}`
		made  = `{"messageType":"event.claim.created.v1","claimRef":"PDN-922","amount":501.00,"currency":"EUR"}`
	)
	ocelotBody := func(id string) string {
		return `{"name":"IncomingSms.received","eventId":"` + id + `",` + sms + `,"dateTime":"` + eventTime + `"}`
	}
	return []*platformEvents{
		{path: "ophelos", domain: 0, typ: "debt.paid", data: paid, carries: same(paid), envelope: func(id string) string {
			return `{"id":"` + id + `","object":"event","type":"debt.paid","data":` + paid + `,"created_at":"` + eventTime + `","livemode":true}`
		}},
		{path: "socotra", domain: 2, typ: "claim.open", data: claim, carries: same(claim), envelope: func(id string) string {
			return `{"id":"` + id + `","timestamp":"1772368496848","data":` + claim + `,"transactionId":"tx-` + id[:2] + `","type":"claim.open","username":"alice.lee"}`
		}},
		{path: "ocelot", domain: 4, typ: "IncomingSms.received", data: `{` + sms + `}`, carries: ocelotBody, envelope: ocelotBody},
		{path: "donutwork", domain: 1, typ: "RecurringPayments.charge.paid", data: plan, carries: same(plan), envelope: func(id string) string {
			return `{"id":"` + id + `","event":"RecurringPayments.charge.paid","created":"` + eventTime + `","data":` + plan + `}`
		}},
		{path: "receeve", domain: 2, typ: "event.claim.created.v1", data: made, carries: same(made), envelope: func(id string) string {
			return `{"payload":{"details":` + made + `,"messageId":"` + id + `","timestamp":"` + eventTime + `","user":{"id":"USER_ID","poolId":"POOL_ID","originator":"ClientAPI"}},"signature":"SIGNATURE","payloadAsString":"PAYLOAD_AS_STRING"}`
		}},
	}
}

// platformTest is a relay with a webhook of each platform.
type platformTest struct {
	t     *testing.T
	f     *fleet
	p     *relayProcess
	at    *receivers
	cases []*platformEvents
}

func (p *platformTest) call(method, path, body string, into any) {
	p.t.Helper()
	var content any
	if body != "" {
		content = json.RawMessage(body)
	}
	_, err := p.p.api.call(p.t.Context(), method, path, content, into)
	require.NoError(p.t, err, "%s", &p.f.logs)
}

// publish writes an event as a CloudEvent, or in the platform's own envelope.
func (p *platformTest) publish(c *platformEvents, id string, own bool, headers ...kgo.RecordHeader) {
	p.t.Helper()
	rec := &kgo.Record{Topic: p.f.domains[c.domain], Key: []byte(id), Headers: headers}
	if own {
		rec.Value = []byte(c.envelope(id))
	} else {
		rec.Value = []byte(c.data)
		for name, value := range map[string]string{"ce_specversion": "1.0", "ce_id": id, "ce_source": "/platform", "ce_type": c.typ, "ce_time": eventTime,
			"ce_transactionid": "tx-" + id[:2], "ce_userid": "USER_ID", "content-type": "application/json"} {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
	}
	require.NoError(p.t, p.f.client.ProduceSync(p.t.Context(), rec).FirstErr())
}

// round publishes an event in both shapes to each platform, with ids that begin with two characters, and waits for so many
// arrivals of each.
func (p *platformTest) round(name string, arrivals int) {
	p.t.Helper()
	for _, c := range p.cases {
		p.publish(c, name+"-cloud-"+c.path, false)
		p.publish(c, name+"-own-"+c.path, true)
	}
	for _, c := range p.cases {
		for _, id := range []string{name + "-cloud-" + c.path, name + "-own-" + c.path} {
			for _, a := range p.at.arrivals(p.t, p.f, c.path, id, arrivals) {
				require.Equal(p.t, c.typ, a.Type)
				require.JSONEq(p.t, c.carries(id), string(a.Data))
				if c.path != "ocelot" {
					require.Equal(p.t, c.carries(id), string(a.Data), "the bytes that the platform wrote")
				}
			}
		}
	}
}

// subscribe makes a webhook on each platform by the request that its page documents, and tells the receiver what the answer
// showed.
func (p *platformTest) subscribe() {
	p.t.Helper()
	const hmacSecret = "socotra-secret-0123456789"
	options := map[string]receive.Options{}
	headers := map[string]http.Header{}
	byPath := map[string]*platformEvents{}
	for _, c := range p.cases {
		byPath[c.path] = c
	}

	var ophelos struct {
		ID         string `json:"id"`
		SigningKey string `json:"signing_key"`
	}
	p.call(http.MethodPost, "/ophelos/webhooks", fmt.Sprintf(`{"url":%q,"enabled":true,"enabled_events":["debt.paid","debt.closed"],"filters":{"data":{"status":"paid"}},
		"version":"2025-04-01","credentials":{"type":"bearer","token":"t0ken"},"metadata":{"team":"collections"}}`, p.at.url+"/ophelos"), &ophelos)
	byPath["ophelos"].webhook = ophelos.ID
	options["ophelos"] = receive.Options{Format: catalog.FormatOphelos, Secret: catalog.NewSecret(ophelos.SigningKey)}
	headers["ophelos"] = http.Header{"Ophelos-Version": {"2025-04-01"}, "Authorization": {"Bearer t0ken"}}

	p.call(http.MethodPost, "/socotra/integrations", fmt.Sprintf(`{"name":"crm","url":%q,"headers":{"X-Team":"claims"},"securitySpec":{"hmacEnabled":true,"secret":%q,"secureSSL":true}}`,
		p.at.url+"/socotra", hmacSecret), nil)
	p.call(http.MethodPut, "/socotra/webhooks", `{"name":"claims","integrationName":"crm","events":["claim.open"],"retryStrategy":"one",
		"failureHandling":{"mode":"divert","actOnStatusCodes":["4xx"],"actOnTimeout":true}}`, nil)
	byPath["socotra"].webhook = "claims"
	options["socotra"] = receive.Options{Format: catalog.FormatSocotra, Secret: catalog.NewSecret(hmacSecret)}
	headers["socotra"] = http.Header{"X-Team": {"claims"}}

	p.call(http.MethodPost, "/ocelot/webhooks", fmt.Sprintf(`{"id":"my-incoming-sms-webhook","matchingEvents":["IncomingSms.received"],"url":%q,
		"auth":{"type":"Basic","username":"ocelot","password":"s3cret"},"active":true,"perOfficeOverrides":[
		{"office":"north","url":%q,"auth":{"type":"Basic","username":"north","password":"n0rth"}},{"office":"closed","active":false}]}`,
		p.at.url+"/ocelot", p.at.url+"/ocelot-north"), nil)
	byPath["ocelot"].webhook = "my-incoming-sms-webhook"
	options["ocelot"] = receive.Options{Format: catalog.FormatOcelot, User: "ocelot", Secret: catalog.NewSecret("s3cret")}
	options["ocelot-north"] = receive.Options{Format: catalog.FormatOcelot, User: "north", Secret: catalog.NewSecret("n0rth")}

	var donutwork struct{ ID, Token string }
	p.call(http.MethodPost, "/donutwork/2026-02-01/webhooks.json", fmt.Sprintf(`{"webhook":{"name":"Billing Events","description":"Receive invoice and payment updates",
		"url":%q,"events":"RecurringPayments.charge.paid"}}`, p.at.url+"/donutwork"), &donutwork)
	byPath["donutwork"].webhook = donutwork.ID
	options["donutwork"] = receive.Options{Format: catalog.FormatDonutwork, Secret: catalog.NewSecret(donutwork.Token)}

	p.call(http.MethodPost, "/v1/webhooks", fmt.Sprintf(`{"id":"receeve","format":"receeve","events":["event.claim.created"],"url":%q}`, p.at.url+"/receeve"), nil)
	byPath["receeve"].webhook = "receeve"
	options["receeve"] = receive.Options{Format: catalog.FormatReceeve, PublicKey: receive.PublicKeyAt(p.p.api.url + "/receeve/public-key")}

	for path, o := range options {
		p.at.box(path).expect(p.t, o, headers[path])
	}
	// The platforms' schedules are long: /v1 shortens them, all but Socotra's, whose "one" is short.
	for _, c := range p.cases {
		if c.path != "socotra" {
			p.call(http.MethodPatch, "/v1/webhooks/"+c.webhook, `{"retry":{"schedule":["1s"]}}`, nil)
		}
	}
}

// awaitDiverted waits until a webhook has so many diverted events and gives the ids of their deliveries.
func (p *platformTest) awaitDiverted(webhook string, n int) (ids []string) {
	p.t.Helper()
	var page struct {
		Items []struct {
			DeliveryID string `json:"deliveryId"`
			State      string `json:"state"`
		} `json:"items"`
	}
	require.Eventually(p.t, func() bool {
		_, err := p.p.api.call(p.t.Context(), http.MethodGet, "/v1/webhooks/"+webhook+"/diverted", nil, &page)
		return err == nil && len(page.Items) == n
	}, time.Minute, 50*time.Millisecond, "%s has %d diverted events, want %d\n%s", webhook, len(page.Items), n, &p.f.logs)
	for _, item := range page.Items {
		ids = append(ids, item.DeliveryID)
	}
	return ids
}

// TestPlatforms: for each platform, a webhook that was made by the request of its page, and a receiver that knows nothing
// but that page, which verifies every request: at once, after a retry, after a diversion and a resend; of events that came
// from Kafka as CloudEvents and in the platform's own envelope.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	f := newFleet(t, time.Second)
	at := newReceivers(t, f, "ophelos", "socotra", "ocelot", "ocelot-north", "donutwork", "receeve")
	p := &platformTest{t: t, f: f, p: f.start(t, "one"), at: at, cases: platformCases()}
	p.p.awaitReady(t, f)
	p.subscribe()

	p.round("p1", 1)
	p.offices()
	unwanted := &platformEvents{path: "ophelos", domain: 0, typ: "debt.paid", data: `{"status":"open"}`} // by its filter
	p.publish(unwanted, "p1-unwanted", false)

	// The receivers act upon the event, then fail: it comes again, and is known.
	p.answers(http.StatusServiceUnavailable)
	done := make(chan struct{})
	go func() { defer close(done); p.repairEach("p2") }()
	p.round("p2", 2)
	<-done

	// They refuse until the event is diverted. 4xx says that they are alive, so that no breaker opens.
	p.answers(http.StatusBadRequest)
	p.round("p3", 2)
	for _, c := range p.cases {
		p.awaitDiverted(c.webhook, 2)
	}
	p.answers(http.StatusOK)
	p.renameOcelot()
	for _, c := range p.cases {
		if c.path == "socotra" {
			p.resendSocotra()
			continue
		}
		for _, id := range p.awaitDiverted(c.webhook, 2) {
			p.call(http.MethodPost, "/v1/webhooks/"+c.webhook+"/diverted/"+id+"/resend", "", nil)
		}
	}
	for _, c := range p.cases {
		for _, shape := range []string{"cloud", "own"} {
			arrived := at.arrivals(t, f, c.path, "p3-"+shape+"-"+c.path, 3)
			require.Equal(t, http.StatusOK, arrived[len(arrived)-1].status)
		}
		p.awaitDiverted(c.webhook, 0)
	}
	require.Empty(t, at.box("ophelos").of("p1-unwanted"))
	require.Empty(t, at.box("ocelot").of("of-closed"))
	require.Empty(t, at.box("ocelot").of("of-north"))
	at.judge(t)
}

// answers sets what all receivers answer.
func (p *platformTest) answers(status int) {
	for _, c := range p.cases {
		p.at.box(c.path).answers(status)
	}
}

// repairEach lets each receiver succeed once it has refused both events of a round.
func (p *platformTest) repairEach(name string) {
	broken := map[string]bool{}
	for _, c := range p.cases {
		broken[c.path] = true
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx := p.t.Context(); len(broken) > 0 && ctx.Err() == nil; <-tick.C {
		for path := range broken {
			box := p.at.box(path)
			if len(box.of(name+"-cloud-"+path)) > 0 && len(box.of(name+"-own-"+path)) > 0 {
				box.answers(http.StatusOK)
				delete(broken, path)
			}
		}
	}
}

// offices: an override has events of its office sent to another address, with other credentials, or not at all.
func (p *platformTest) offices() {
	p.t.Helper()
	ocelot := p.cases[2]
	for _, office := range []string{"closed", "north", "south"} {
		p.publish(ocelot, "of-"+office, true, kgo.RecordHeader{Key: "ce_office", Value: []byte(office)})
	}
	p.at.arrivals(p.t, p.f, "ocelot-north", "of-north", 1)
	p.at.arrivals(p.t, p.f, "ocelot", "of-south", 1)
}

// renameOcelot renames a webhook with diverted events by the request of its page.
func (p *platformTest) renameOcelot() {
	p.t.Helper()
	var shown map[string]any
	p.call(http.MethodGet, "/ocelot/webhooks/my-incoming-sms-webhook", "", &shown)
	shown["id"] = "renamed sms"
	body, err := json.Marshal(shown)
	require.NoError(p.t, err)
	p.call(http.MethodPut, "/ocelot/webhooks/my-incoming-sms-webhook", string(body), nil)
	p.cases[2].webhook = "renamed%20sms"
}

// resendSocotra lists and resends by the calls of the page. Both events are of one transaction.
func (p *platformTest) resendSocotra() {
	p.t.Helper()
	const path = "/socotra/webhooks/claims/diverted"
	type listing struct {
		WebhookName string           `json:"webhookName"`
		Events      []map[string]any `json:"events"`
	}
	var one, all listing
	p.call(http.MethodGet, path+"?limit=1&offset=1", "", &one)
	p.call(http.MethodGet, path, "", &all)
	require.Equal(p.t, "claims", all.WebhookName)
	require.Len(p.t, all.Events, 2)
	require.Equal(p.t, listing{"claims", all.Events[1:]}, one)
	for _, event := range all.Events {
		want := map[string]any{"eventType": "claim.open", "timestamp": "1772368496848", "data": map[string]any{"claimLocator": "100012476", "reserve": 1184.2},
			"eventId": "p3-cloud-socotra", "transactionId": "tx-p3"}
		if event["eventId"] != want["eventId"] {
			want["eventId"], want["username"] = "p3-own-socotra", "alice.lee"
		}
		require.Equal(p.t, want, event)
	}
	status, err := p.p.api.call(p.t.Context(), http.MethodPost, path+"/tx-nothing/resend", nil, nil)
	require.Error(p.t, err)
	require.Equal(p.t, http.StatusNotFound, status)
	p.call(http.MethodPost, path+"/tx-p3/resend", "", nil)
}
