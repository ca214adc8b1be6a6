package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Source is where the snapshot was loaded from at start.
type Source string

// The sources.
const (
	SourceNone  Source = ""
	SourceRedis Source = "redis"
	SourceTopic Source = "topic"
)

// Status is what readiness shows.
type Status struct {
	// Complete: the snapshot once covered an end offset that Kafka was asked for at start.
	Complete bool
	// Fresh: see Registry.Fresh.
	Fresh bool
	// Applied is the next offset to apply, End the latest end offset that Kafka was asked for.
	Applied, End int64
	// ConfirmedAt is when Kafka was asked for the latest end offset that is applied; zero before the first.
	ConfirmedAt time.Time
	Source      Source
	// Quarantined is the number of records that could not be applied.
	Quarantined int
	// MissingKeys are ids of master keys that records are sealed with and that are not configured. While there are
	// any, subscriptions are unknown and the snapshot is neither complete nor fresh.
	MissingKeys []string
	// Err is why the tail cannot go on without a restart, or nil.
	Err error
}

// Status reports the state of the snapshot.
func (r *Registry) Status() Status {
	quarantined, missing := r.snapshot.held()
	s := Status{
		Fresh: r.Fresh(), Applied: r.applied.get(), Quarantined: quarantined, MissingKeys: missing, Err: r.applied.failure(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Complete, s.End, s.ConfirmedAt, s.Source = r.complete, r.end, r.confirmed, r.source
	return s
}

// Fresh reports whether within FreshFor Kafka was asked for the end of the topic and everything up to it is
// applied. When it is not, somebody's subscription may be unknown here, and no event must be matched.
func (r *Registry) Fresh() bool {
	r.mu.Lock()
	complete, held, confirmed := r.complete, r.held, r.confirmed
	r.mu.Unlock()
	return complete && held == nil && time.Since(confirmed) <= r.opts.FreshFor && r.applied.failure() == nil
}

// WaitComplete waits until the snapshot is complete: applied up to the end offset that Kafka was asked for at start.
// No source or retry topic may be read before. It returns at once with an error that says what to do when master
// keys are missing, or when the tail cannot go on.
func (r *Registry) WaitComplete(ctx context.Context) error {
	for {
		r.mu.Lock()
		complete, held, settled := r.complete, r.held, r.settled
		r.mu.Unlock()
		switch {
		case held != nil:
			return held
		case complete:
			return nil
		case r.applied.failure() != nil:
			return fmt.Errorf("wait until the webhooks are complete: %w", r.applied.failure())
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return fmt.Errorf("wait until the webhooks are complete: applied %d: %w", r.applied.get(), context.Cause(ctx))
		}
	}
}

// confirm notes that everything below end, which Kafka was asked for at asked, is applied.
func (r *Registry) confirm(end int64, asked time.Time) {
	held := r.missingKeys()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end, r.held = max(r.end, end), held
	if held == nil {
		r.complete = true
		if asked.After(r.confirmed) {
			r.confirmed = asked
		}
	}
	r.settle()
}

// withhold makes the snapshot not fresh at once after a record under a missing master key; the next confirmation
// lifts it if a later record has replaced that one.
func (r *Registry) withhold() {
	held := r.missingKeys()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.complete {
		r.held = held
	}
}

// missingKeys is the error for records that only other master keys open, or nil.
func (r *Registry) missingKeys() error {
	_, missing := r.snapshot.held()
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("webhooks are unknown: records of %s are %w", r.topic, &MissingKeyError{KeyID: strings.Join(missing, ", ")})
}

// settle wakes WaitComplete. The caller holds r.mu.
func (r *Registry) settle() {
	close(r.settled)
	r.settled = make(chan struct{})
}

// held counts the quarantined records and names the master keys that some of them need.
func (s *snapshot) held() (quarantined int, missingKeys []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ids := map[string]struct{}{}
	for _, q := range s.quarantined {
		if q.missingKey != "" {
			ids[q.missingKey] = struct{}{}
		}
	}
	return len(s.quarantined), slices.Sorted(maps.Keys(ids))
}
