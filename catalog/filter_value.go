package catalog

import (
	"bytes"
	"fmt"
	"strings"
)

// valueKind is what a value of an event is.
type valueKind uint8

const (
	kindMissing valueKind = iota
	kindNull
	kindFalse
	kindTrue
	kindNumber
	kindText   // characters
	kindQuoted // a JSON string as it is written
	kindArray
	kindObject
	kindTime  // the event's time
	kindUser  // the event's user
	kindEvent // the event itself
)

// value is a part of an event: JSON text that is not decoded before it is compared, or a field of the Event.
type value struct {
	kind valueKind
	text string
}

// valueOf tells the kind of a JSON value by its first byte.
func valueOf(text string) value {
	switch text[0] {
	case '{':
		return value{kindObject, text}
	case '[':
		return value{kindArray, text}
	case '"':
		return value{kindQuoted, text}
	case 't':
		return value{kind: kindTrue}
	case 'f':
		return value{kind: kindFalse}
	case 'n':
		return value{kind: kindNull}
	default:
		return value{kindNumber, text}
	}
}

func textValue(text string) value {
	if text == "" {
		return value{}
	}
	return value{kindText, text}
}

func (v value) isText() bool { return v.kind == kindText || v.kind == kindQuoted }

// characters decodes a value of which isText holds.
func (v value) characters() string {
	if v.kind == kindQuoted {
		return unquote(v.text)
	}
	return v.text
}

// scope is the place in the event that a condition is about; it decides which fields and operands make sense.
type scope uint8

const (
	scopeEvent scope = iota
	scopeUser
	scopeText
	scopeTime
	scopeBool
	scopeData
)

// eventScopes are the fields of an event; evaluation.field has a case for each.
var eventScopes = map[string]scope{
	"id": scopeText, "source": scopeText, "type": scopeText, "domain": scopeText, "tenant": scopeText,
	"office": scopeText, "subject": scopeText, "transactionId": scopeText, "time": scopeTime, "user": scopeUser,
	"livemode": scopeBool, "data": scopeData,
}

// userScopes are the fields of a user; evaluation.userField has a case for each.
var userScopes = map[string]scope{"name": scopeText, "id": scopeText, "poolId": scopeText, "originator": scopeText}

// field gives a field of the event. It fails the evaluation when that is the payload and cannot be read.
func (e *evaluation) field(name string) value {
	ev := e.event
	switch name {
	case "id":
		return textValue(ev.ID)
	case "source":
		return textValue(ev.Source)
	case "type":
		return textValue(ev.Type)
	case "domain":
		return textValue(ev.Domain)
	case "tenant":
		return textValue(ev.Tenant)
	case "office":
		return textValue(ev.Office)
	case "subject":
		return textValue(ev.Subject)
	case "transactionId":
		return textValue(ev.TransactionID)
	case "time":
		if !ev.Time.IsZero() {
			return value{kind: kindTime}
		}
	case "user":
		if ev.User.Known() {
			return value{kind: kindUser}
		}
	case "livemode":
		if ev.Livemode {
			return value{kind: kindTrue}
		}
		return value{kind: kindFalse}
	case "data":
		if !e.dataRead {
			e.dataRead = true
			e.data, e.dataErr = readPayload(ev)
		}
		e.fail(e.dataErr)
		return e.data
	}
	return value{}
}

func (e *evaluation) userField(name string) value {
	user := &e.event.User
	switch name {
	case "name":
		return textValue(user.Name)
	case "id":
		return textValue(user.ID)
	case "poolId":
		return textValue(user.PoolID)
	case "originator":
		return textValue(user.Originator)
	}
	return value{}
}

// readPayload checks all of the data: without that, a filter would take a truncated payload for one that lacks the
// fields at its end.
func readPayload(ev *Event) (value, error) {
	data := bytes.Trim(ev.Data, jsonSpace)
	if len(data) == 0 {
		return value{}, nil // no payload: data is missing
	}
	if !isJSONContentType(ev.DataContentType) {
		return value{}, fmt.Errorf("%w: its content type is %q", ErrFilterData, ev.DataContentType)
	}
	ev.CheckData()
	if problem := ev.dataProblem(); problem != "" {
		return value{}, fmt.Errorf("%w: %s", ErrFilterData, problem)
	}
	return valueOf(textOf(data)), nil
}

func isJSONContentType(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	switch mediaType {
	case "", "application/json", "text/json":
		return true
	default:
		return strings.HasSuffix(mediaType, "+json")
	}
}
