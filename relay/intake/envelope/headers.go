package envelope

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// headers are those of the record that mean something here. The texts are views of the record.
type headers struct {
	contentType, specVersion                       string
	id, source, typ, time, subject, tenant, office string
	transactionID                                  string
	username, userID, userPoolID, userOriginator   string
	livemode                                       string
	traceParent, traceState                        string
}

// readHeaders collects the headers that are used and checks those that become attributes. The keys of CloudEvents
// attributes are exact, as its Kafka binding has them; content-type is accepted in any case, as HTTP libraries write it.
func readHeaders(rec *kgo.Record) (headers, error) {
	var h headers
	for i := range rec.Headers {
		key, value := rec.Headers[i].Key, rec.Headers[i].Value
		into := h.field(key)
		if into == nil || *into != "" || len(value) == 0 {
			continue
		}
		text := view(value)
		if into == &h.traceParent || into == &h.traceState {
			*into = text
			continue
		}
		if len(text) > MaxAttributeBytes {
			return headers{}, reject(ReasonBadHeader, "header %s is %d bytes long, allowed are %d", key, len(text), MaxAttributeBytes)
		}
		if !printable(text) {
			return headers{}, reject(ReasonBadHeader, "header %s contains a control character or is not UTF-8", key)
		}
		*into = text
	}
	if _, ok := parseBool(h.livemode); h.livemode != "" && !ok {
		return headers{}, reject(ReasonBadHeader, "header ce_livemode is neither true nor false")
	}
	// Trace context is a courtesy to the receiver: what is malformed is left out and never costs an event.
	if !validTraceParent(h.traceParent) {
		h.traceParent = ""
	}
	if h.traceParent == "" || !validTraceState(h.traceState) {
		h.traceState = ""
	}
	return h, nil
}

func (h *headers) field(key string) *string {
	switch key {
	case "ce_specversion":
		return &h.specVersion
	case "ce_id":
		return &h.id
	case "ce_source":
		return &h.source
	case "ce_type":
		return &h.typ
	case "ce_time":
		return &h.time
	case "ce_subject":
		return &h.subject
	case "ce_tenant":
		return &h.tenant
	case "ce_office":
		return &h.office
	case "ce_transactionid":
		return &h.transactionID
	case "ce_username":
		return &h.username
	case "ce_userid":
		return &h.userID
	case "ce_userpoolid":
		return &h.userPoolID
	case "ce_useroriginator":
		return &h.userOriginator
	case "ce_livemode":
		return &h.livemode
	case "traceparent":
		return &h.traceParent
	case "tracestate":
		return &h.traceState
	}
	if strings.EqualFold(key, "content-type") {
		return &h.contentType
	}
	return nil
}

// mediaType is the content type without its parameters.
func (h *headers) mediaType() string {
	media, _, _ := strings.Cut(h.contentType, ";")
	return strings.TrimSpace(media)
}

// parseBool reads a CloudEvents boolean: "true" or "false".
func parseBool(text string) (value, ok bool) {
	switch {
	case strings.EqualFold(text, "true"):
		return true, true
	case strings.EqualFold(text, "false"):
		return false, true
	}
	return false, false
}

// validTraceParent checks the form of W3C Trace Context, version 00: 00-<32 hex>-<16 hex>-<2 hex>, ids not all zero.
// Later versions begin alike and may only be longer; that tail is not known to be safe and such a text is dropped.
func validTraceParent(text string) bool {
	const length = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(text) != length || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return false
	}
	trace, parent := text[3:35], text[36:52]
	return lowerHex(text[:2]) && lowerHex(trace) && lowerHex(parent) && lowerHex(text[53:]) &&
		text[:2] != "ff" && strings.Trim(trace, "0") != "" && strings.Trim(parent, "0") != ""
}

func lowerHex(text string) bool {
	for i := 0; i < len(text); i++ {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// maxTraceStateBytes is what W3C Trace Context asks everybody to pass on at least.
const maxTraceStateBytes = 512

func validTraceState(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return len(text) <= maxTraceStateBytes
}
