package history

import (
	"strconv"
	"time"

	"github.com/tidwall/gjson"
)

// AppendJSON appends the attempt as JSON, as encoding/json would write it but for the escapes inside strings. One is
// written for each attempt, and reflection takes twice as long.
func (a *Attempt) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "uid", a.UID)
	b = appendText(b, "tenant", a.Tenant)
	b = appendText(b, "deliveryId", a.DeliveryID)
	b = appendText(b, "webhookId", a.WebhookID)
	if a.EventID != "" {
		b = appendText(b, "eventId", a.EventID)
	}
	b = appendText(b, "eventType", a.EventType)
	b = appendInt(b, "attempt", int64(a.Attempt))
	b = append(a.At.AppendFormat(append(appendName(b, "at"), '"'), time.RFC3339Nano), '"')
	b = strconv.AppendFloat(appendName(b, "latencyMs"), a.LatencyMS, 'f', -1, 64)
	if a.Status != 0 {
		b = appendInt(b, "status", int64(a.Status))
	}
	if a.Error != "" {
		b = appendText(b, "error", a.Error)
	}
	b = appendText(b, "outcome", a.Outcome)
	if a.Reason != "" {
		b = appendText(b, "reason", a.Reason)
	}
	if a.RetryInMS != 0 {
		b = appendInt(b, "retryInMs", a.RetryInMS)
	}
	if a.Response != "" {
		b = appendText(b, "response", a.Response)
	}
	return append(b, '}')
}

// appendText appends a membea. Most texts are ids, which need no escaping.
func appendText(b []byte, name, value string) []byte {
	b = appendName(b, name)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return gjson.AppendJSONString(b, value)
		}
	}
	b = append(b, '"')
	b = append(b, value...)
	return append(b, '"')
}

func appendInt(b []byte, name string, value int64) []byte {
	return strconv.AppendInt(appendName(b, name), value, 10)
}

// appendName appends a member's name, which needs no escaping, after a comma unless it is the first.
func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, `":`...)
}
