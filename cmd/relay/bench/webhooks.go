package bench

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"eventrelay/catalog"
)

// signingSecret of every webhook of a benchmark, as long as a usual one.
var signingSecret = catalog.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")

// everyEvent is a filter that every event of a benchmark passes and that has to read the event's data to know it.
var everyEvent = json.RawMessage(`{"data":{"amount":{"$gte":100}}}`)

// newWebhook is a webhook of a benchmark, with everything on: filter, signature, retries. slot tells its deliveries
// from those of other webhooks that want the same event.
func newWebhook(tenant string, number int, eventType, url string, slot int) *catalog.Webhook {
	w := catalog.NewWebhook()
	w.ID = fmt.Sprintf("%s-%d", eventType, number)
	w.UID = fmt.Sprintf("wh_%026d", number)
	w.Tenant = tenant
	w.Events = []string{eventType}
	w.Filter = everyEvent
	w.URL = url
	w.Headers = map[string]string{slotHeader: strconv.Itoa(slot)}
	w.Signing.Secrets = []catalog.SigningSecret{{Value: signingSecret, Encoding: catalog.SecretWhsec}}
	w.Retry = catalog.Retry{Custom: []time.Duration{time.Second, time.Second, 2 * time.Second, 5 * time.Second, 30 * time.Second}}
	w.Normalize()
	w.Created = time.Now().UTC().Truncate(time.Millisecond)
	w.Updated, w.Revision = w.Created, 1
	return w
}

// idleBase is where the numbers of idle webhooks begin, above those of all others.
const idleBase = 1 << 30

// idleWebhooks are n webhooks of other tenants that want what is never published: what a relay knows besides the few
// that are busy.
func idleWebhooks(n int) []*catalog.Webhook {
	webhooks := make([]*catalog.Webhook, n)
	for i := range webhooks {
		w := newWebhook(fmt.Sprintf("idle%d", i%10), idleBase+i, fmt.Sprintf("idle.type%d", i%1000), fmt.Sprintf("http://127.0.0.1:9/idle/%d", i), 0)
		w.Headers = nil
		webhooks[i] = w
	}
	return webhooks
}
