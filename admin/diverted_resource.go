package admin

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"strings"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/divert"
)

// divertedResource is a diverted event as it is listed. It says nothing of the event's data, which may be personal.
type divertedResource struct {
	DeliveryID    string    `json:"deliveryId"`
	UID           string    `json:"uid"`
	EventID       string    `json:"eventId"`
	EventType     string    `json:"eventType"`
	TransactionID string    `json:"transactionId"`
	DivertedAt    time.Time `json:"divertedAt"`
	Reason        string    `json:"reason"`
	Attempts      int       `json:"attempts"`
	LastStatus    int       `json:"lastStatus"`
	State         string    `json:"state"`
}

func newDivertedResource(e divert.Entry) divertedResource {
	return divertedResource{
		DeliveryID: e.DeliveryID, UID: e.UID, EventID: e.EventID, EventType: e.EventType, TransactionID: e.TransactionID,
		DivertedAt: e.DivertedAt.UTC(), Reason: string(e.Reason), Attempts: e.Attempts, LastStatus: e.LastStatus, State: string(e.State),
	}
}

// eventResource is an event without its data, which is spliced in.
type eventResource struct {
	ID            string    `json:"id"`
	Source        string    `json:"source"`
	Type          string    `json:"type"`
	Domain        string    `json:"domain"`
	Subject       string    `json:"subject"`
	Time          time.Time `json:"time"`
	Office        string    `json:"office"`
	TransactionID string    `json:"transactionId"`
}

// failureResource is why the delivery was given up.
type failureResource struct {
	Status   int    `json:"status"`
	Error    string `json:"error"`
	Attempts int    `json:"attempts"`
}

// encodeDivertedDetail writes a diverted event with the event and the failure. The data is the platform's bytes: they
// pass through no encoder, which would reorder or round them.
func encodeDivertedDetail(d divert.Detail) ([]byte, error) {
	ev := d.Delivery.Event
	event, err := encodeJSON(eventResource{
		ID: ev.ID, Source: ev.Source, Type: ev.Type, Domain: ev.Domain, Subject: ev.Subject, Time: ev.Time.UTC(),
		Office: ev.Office, TransactionID: ev.TransactionID,
	})
	if err != nil {
		return nil, err
	}
	switch {
	case isJSON(ev):
		event = splice(event, "data", ev.Data)
	default:
		event = splice(event, "dataBase64", quoted(base64.StdEncoding.EncodeToString(ev.Data)))
	}
	failure, err := encodeJSON(failureResource{Status: d.Why.Status, Error: d.Why.Error, Attempts: d.Attempts})
	if err != nil {
		return nil, err
	}
	entry, err := encodeJSON(newDivertedResource(d.Entry))
	if err != nil {
		return nil, err
	}
	return splice(splice(entry, "event", event), "failure", failure), nil
}

// isJSON reports whether the data may stand in a JSON document as it is.
func isJSON(ev *catalog.Event) bool {
	if ev.DataContentType != "" {
		mediaType, _, err := mime.ParseMediaType(ev.DataContentType)
		if err != nil || (mediaType != mediaJSON && !strings.HasSuffix(mediaType, "+json")) {
			return false
		}
	}
	return json.Valid(ev.Data)
}

// splice adds a member to the end of a non-empty JSON object. value is JSON.
func splice(object []byte, name string, value []byte) []byte {
	out := make([]byte, 0, len(object)+len(name)+len(value)+4)
	out = append(out, object[:len(object)-1]...)
	out = append(out, `,"`+name+`":`...)
	out = append(out, value...)
	return append(out, '}')
}

// quoted is base64 text as a JSON string; its alphabet needs no escapes.
func quoted(text string) []byte { return []byte(`"` + text + `"`) }
