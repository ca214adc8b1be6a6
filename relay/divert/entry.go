package divert

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"eventrelay/relay"
)

// State of a diverted event.
type State string

// The states. A diverted event that was delivered or deleted is no longer listed.
const (
	StateDiverted  State = "diverted"
	StateResending State = "resending"
)

// Entry is a diverted event as it is listed: everything but the event itself.
type Entry struct {
	DeliveryID    string
	UID           string
	Tenant        string
	EventID       string
	EventType     string
	TransactionID string
	DivertedAt    time.Time // millisecond precision
	Reason        Reason
	// Epoch of the suspension, for ReasonSuspended.
	Epoch      int64
	Attempts   int
	LastStatus int
	LastError  string
	State      State
	// Generation counts the resends before this diversion.
	Generation int
	// Partition and Offset of its record in the diverted topic.
	Partition int32
	Offset    int64
}

// Transaction is the name under which the events of one transaction are found together: its id, or else the event's
// own id, or else the delivery's.
func (e Entry) Transaction() string { return cmp.Or(e.TransactionID, e.EventID, e.DeliveryID) }

// Key names the entry's record.
func (e Entry) Key() Key {
	return Key{UID: e.UID, Delivery: e.DeliveryID, Generation: e.Generation}
}

// Detail is a diverted event with the event.
type Detail struct {
	Entry
	// Delivery as it was when it was diverted, the event's bytes included.
	Delivery *relay.Delivery
	Why      Why
}

// Errors of the operations. Match them with errors.Is.
var (
	// ErrNotFound: no such diverted event (any more), or it is another tenant's.
	ErrNotFound = errors.New("no such diverted event")
	// ErrResending: it is already being resent.
	ErrResending = errors.New("diverted event is already being resent")
	// ErrInactive: the webhook is deleted, disabled or suspended, so nothing can be sent to it now.
	ErrInactive = errors.New("webhook is not active")
	// ErrIndexBehind: the index could not be confirmed to cover the topic in time; try again. Never an empty list
	// taken for the truth.
	ErrIndexBehind = errors.New("index of diverted events is not up to date; try again shortly")
	// ErrBadCursor: the cursor is not one that List gave for this list.
	ErrBadCursor = errors.New("cursor is not valid for this list")
)

// storedEntry is an Entry in the index. The short names save memory: at a million entries each byte is a megabyte.
// The scripts read u, t, d, s, n, x, i, y and r.
type storedEntry struct {
	UID           string `json:"u"`
	Tenant        string `json:"t"`
	DivertedAt    string `json:"d"`           // Unix ms, 13 digits: sorts as text
	SweepEpoch    string `json:"s,omitempty"` // epoch in 19 digits for ReasonSuspended: what the sweeper looks for
	Generation    int    `json:"n"`
	Offset        int64  `json:"o"`
	EventID       string `json:"i,omitempty"`
	EventType     string `json:"y,omitempty"`
	TransactionID string `json:"x,omitempty"`
	Reason        Reason `json:"r"`
	Epoch         int64  `json:"e,omitempty"`
	Attempts      int    `json:"a,omitempty"`
	LastStatus    int    `json:"c,omitempty"`
	LastError     string `json:"m,omitempty"`
}

func encodeEntry(e Entry) string {
	s := storedEntry{
		UID: e.UID, Tenant: e.Tenant, DivertedAt: sortableTime(e.DivertedAt), Generation: e.Generation, Offset: e.Offset,
		EventID: e.EventID, EventType: e.EventType, TransactionID: e.TransactionID, Reason: e.Reason, Epoch: e.Epoch,
		Attempts: e.Attempts, LastStatus: e.LastStatus, LastError: e.LastError,
	}
	if e.Reason == ReasonSuspended {
		s.SweepEpoch = sortableEpoch(e.Epoch)
	}
	text, _ := json.Marshal(s) // strings and numbers cannot fail
	return string(text)
}

func decodeEntry(delivery string, partition int32, text string, resending bool) (Entry, error) {
	var s storedEntry
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Entry{}, fmt.Errorf("index entry of delivery %s: %w", shorten(delivery), err)
	}
	e := Entry{
		DeliveryID: delivery, UID: s.UID, Tenant: s.Tenant, EventID: s.EventID, EventType: s.EventType,
		TransactionID: s.TransactionID, DivertedAt: parseSortableTime(s.DivertedAt), Reason: s.Reason, Epoch: s.Epoch,
		Attempts: s.Attempts, LastStatus: s.LastStatus, LastError: s.LastError, State: StateDiverted,
		Generation: s.Generation, Partition: partition, Offset: s.Offset,
	}
	if resending {
		e.State = StateResending
	}
	return e, nil
}
