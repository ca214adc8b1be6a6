package payload

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strconv"

	"eventrelay/catalog"
	"eventrelay/relay"
)

const (
	// headerAlertCount says how many deliveries a FailureMessage stands for. It is a header because the body has the
	// members that receivers know, and no other.
	headerAlertCount = "webhook-alert-count"
	// alertStatusNone is the actualStatus of a delivery without an answer, whatever the cause.
	alertStatusNone = "timeout"
	// alertOverhead is the room that a FailureMessage takes around its texts and data: 90 B of keys, rounded up.
	alertOverhead = 128
)

// CompileAlert prepares the alerts about a webhook of that format. Their bodies are the same for every format. They are
// signed with the keys of the alert integration: as Socotra's receivers expect it for its webhooks, else as Standard
// Webhooks has it. Errors match ErrSigningKey and never print a key.
func CompileAlert(format catalog.Format, keys Keys) (*Encoding, error) {
	compile := standardWebhooks(composeAlert)
	if format == catalog.FormatSocotra {
		compile = socotraSigned(composeAlert)
	}
	compose, err := compile(keys)
	if err != nil {
		return nil, err
	}
	return &Encoding{format: formatAlert, compose: compose}, nil
}

// formatAlert stands for the format in errors; no webhook can ask for it.
const formatAlert catalog.Format = "alert"

func composeAlert(m *Message, a *attempt) error {
	if a.Alert.Kind == relay.AlertSuspended {
		composeSuspended(m, a)
	} else {
		composeFailure(m, a)
	}
	m.add(headerContentType, mediaJSON)
	return nil
}

// composeFailure builds the FailureMessage, {"webhookName","url","expectedStatus","actualStatus","eventData"}. Data that
// is not JSON, which may be why the delivery was given up, is the base64 of it as a string.
func composeFailure(m *Message, a *attempt) {
	data := a.Event.Data
	switch {
	case len(data) == 0:
		data = []byte("null")
	case !a.Event.DataIsJSON():
		data = []byte(`"` + base64.StdEncoding.EncodeToString(data) + `"`)
	}
	status := alertStatusNone
	if a.Alert.Status != 0 {
		status = strconv.Itoa(a.Alert.Status)
	}
	b := slices.Grow(m.body[:0], alertOverhead+len(a.Alert.Webhook)+len(a.Alert.URL)+len(data))
	b = append(b, `{"webhookName":`...)
	b = appendString(b, a.Alert.Webhook)
	b = appendField(b, "url", a.Alert.URL)
	b = appendField(b, "expectedStatus", "2xx")
	b = appendField(b, "actualStatus", status)
	b = append(b, `,"eventData":`...)
	b = append(b, data...)
	m.own(append(b, '}'))
	m.add(headerAlertCount, strconv.Itoa(max(a.Alert.Count, 1)))
}

// composeSuspended builds the event of a suspension in Socotra's envelope: {"id","timestamp","data","transactionId",
// "type","username"} with the data {"event","integrationName","webhookName"}. Its page requires all of them, so that the
// first is empty when no delivery led to the suspension, and the second when the webhook has an endpoint of its own.
func composeSuspended(m *Message, a *attempt) {
	id := a.eventID()
	b := append(m.body[:0], `{"id":`...)
	b = appendString(b, id)
	b = append(b, `,"timestamp":"`...)
	b = strconv.AppendInt(b, a.Event.Time.UnixMilli(), 10)
	b = append(b, `","data":{"webhookName":`...)
	b = appendString(b, a.Alert.Webhook)
	b = appendField(b, "event", a.Alert.EventType)
	b = appendField(b, "integrationName", a.Alert.Integration)
	b = append(b, '}')
	b = appendField(b, "transactionId", cmp.Or(a.Event.TransactionID, id))
	b = appendField(b, "type", relay.SuspendedEventType)
	b = appendField(b, "username", a.Event.User.Name)
	m.own(append(b, '}'))
}
