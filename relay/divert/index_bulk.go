package divert

import (
	"context"
	"fmt"
	"time"

	"eventrelay/relay/jobs"
)

// entries reads these entries anew, in one round trip; what is no longer listed is left out.
func (x *index) entries(ctx context.Context, partition int32, least int64, entries []Entry) ([]Entry, error) {
	args := make([]any, 1, 1+len(entries))
	args[0] = least
	for _, e := range entries {
		args = append(args, e.DeliveryID)
	}
	answer, err := entriesScript.Run(ctx, x.redis, x.keys(partition), args...).Slice()
	if err != nil {
		return nil, fmt.Errorf("%w: entries of partition %d: %w", ErrIndexBehind, partition, err)
	}
	if len(answer) != 1+2*len(entries) || answer[0] != "entries" {
		return nil, fmt.Errorf("%w: partition %d: %w", ErrIndexBehind, partition, errIndexReset)
	}
	current := make([]Entry, 0, len(entries))
	for i, e := range entries {
		text, _ := answer[1+2*i].(string)
		if text == "" {
			continue
		}
		now, err := decodeEntry(e.DeliveryID, partition, text, answer[2+2*i] == int64(1))
		if err != nil {
			return nil, err
		}
		current = append(current, now)
	}
	return current, nil
}

// count looks at up to countStep entries of a span and returns how many are selected, and the member behind which to go
// on, "" at the end.
func (x *index) count(ctx context.Context, partition int32, least int64, sp span, job jobs.Definition) (n int64, last string, err error) {
	sel := job.Selection
	answer, err := countScript.Run(ctx, x.redis, x.keys(partition), least, sp.order, sp.from, sp.to, countStep,
		sel.UID, job.Tenant, sel.Type, sel.Reason, sel.TransactionID, sel.EventID, job.Below).Slice()
	if err != nil {
		return 0, "", fmt.Errorf("%w: count in partition %d: %w", ErrIndexBehind, partition, err)
	}
	if len(answer) != 3 || answer[0] != "counted" {
		return 0, "", fmt.Errorf("%w: partition %d: %w", ErrIndexBehind, partition, errIndexReset)
	}
	n, _ = answer[1].(int64)
	last, _ = answer[2].(string)
	return n, last, nil
}

// size is how many entries a span has.
func (x *index) size(ctx context.Context, partition int32, least int64, sp span) (int64, error) {
	answer, err := pageScript.Run(ctx, x.redis, x.keys(partition), least, sp.order, sp.from, sp.to, 0, "0", sp.from, sp.to, 0).Slice()
	if err != nil {
		return 0, fmt.Errorf("%w: size of a range of partition %d: %w", ErrIndexBehind, partition, err)
	}
	if len(answer) != 2 || answer[0] != "page" {
		return 0, fmt.Errorf("%w: partition %d: %w", ErrIndexBehind, partition, errIndexReset)
	}
	n, _ := answer[1].(int64)
	return n, nil
}

// older reads entries diverted before a time, from a bound of the tenants' set on, and where to go on: "" at the end.
func (x *index) older(ctx context.Context, partition int32, least int64, before time.Time, from string, limit int) ([]Entry, string, error) {
	answer, err := olderScript.Run(ctx, x.redis, x.keys(partition), least, sortableTime(before), from, limit).Slice()
	if err != nil {
		return nil, "", fmt.Errorf("%w: old entries of partition %d: %w", ErrIndexBehind, partition, err)
	}
	if len(answer) < 2 || answer[0] != "older" {
		return nil, "", fmt.Errorf("%w: partition %d: %w", ErrIndexBehind, partition, errIndexReset)
	}
	next, _ := answer[1].(string)
	found, err := decodeListed(partition, answer[2:])
	entries := make([]Entry, len(found))
	for i, item := range found {
		entries[i] = item.entry
	}
	return entries, next, err
}
