package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Entry is one line of the trail.
type Entry struct {
	Time time.Time `json:"time"`
	// Tenant whose object it is; empty for what belongs to none.
	Tenant string `json:"tenant,omitempty"`
	Call
	// Kind of the object, such as "webhook"; ID is what its owner calls it, UID what the relay does. What is not known
	// is empty.
	Kind string `json:"kind,omitempty"`
	ID   string `json:"id,omitempty"`
	UID  string `json:"uid,omitempty"`
	// Before and After are revisions; 0 where there was none, or where the object counts none.
	Before int64 `json:"before,omitempty"`
	After  int64 `json:"after,omitempty"`
	// Changed names the members that differ, without their values.
	Changed []string `json:"changed,omitempty"`
	Outcome Outcome  `json:"outcome"`
}

// Outcome is what is known of an action when its entry is written.
type Outcome string

// The outcomes.
const (
	// Created, Updated and Deleted stand for a change that was committed together with the entry.
	Created Outcome = "created"
	Updated Outcome = "updated"
	Deleted Outcome = "deleted"
	// Requested: the entry was written before the action, whose outcome is in the access log under the request id.
	Requested Outcome = "requested"
)

// Call says who acts, and through which request.
type Call struct {
	// Actor is the id of a key, or one of the names below.
	Actor string `json:"actor"`
	// Action is method and route, "PATCH /v1/webhooks/{id}".
	Action    string `json:"action,omitempty"`
	Address   string `json:"address,omitempty"`
	RequestID string `json:"requestId,omitempty"`
}

// Actors that are no stored key.
const (
	// ActorBootstrap is whoever holds the bootstrap key.
	ActorBootstrap = "bootstrap"
	// ActorRelay is the relay itself, which for instance suspends a webhook whose receiver is gone.
	ActorRelay = "relay"
)

type callKey struct{}

// NewContext says in whose name what is done with ctx is done.
func NewContext(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// FromContext gives the call that ctx belongs to; without one it is the relay that acts.
func FromContext(ctx context.Context) Call {
	if c, ok := ctx.Value(callKey{}).(Call); ok {
		return c
	}
	return Call{Actor: ActorRelay}
}

// entryVersion is the version of the values that this code writes and reads. Fields may be added without changing it.
const entryVersion = 1

type stored struct {
	Version int `json:"v"`
	Entry
}

// Record is the entry as it is written to partition 0 of the topic.
func Record(topic string, e Entry) (*kgo.Record, error) {
	value, err := json.Marshal(stored{Version: entryVersion, Entry: e})
	if err != nil {
		return nil, fmt.Errorf("encode an audit entry: %w", err)
	}
	return &kgo.Record{Topic: topic, Partition: 0, Key: []byte(e.Tenant), Value: value, Timestamp: e.Time}, nil
}

// ErrBadEntry is matched by a record that is not an entry, or one of a later version.
var ErrBadEntry = errors.New("not an audit entry")

// Decode reads the value of a record.
func Decode(value []byte) (Entry, error) {
	var s stored
	if err := json.Unmarshal(value, &s); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrBadEntry, err)
	}
	if s.Version != entryVersion {
		return Entry{}, fmt.Errorf("%w: version %d, this relay reads %d", ErrBadEntry, s.Version, entryVersion)
	}
	return s.Entry, nil
}
