package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
	"eventrelay/relay/deliver"
)

// Points at which a relay under test ends itself, as `kill -9` would. Those where it waits for somebody else (a request
// was written and not answered, a commit was sent and not stored) are chosen by that somebody, the test.
const (
	crashFetched   = "fetched"    // P1: polled, not matched
	crashAnswered  = "answered"   // P3: 2xx seen, the delivery not settled
	crashHandedOff = "handed-off" // P4: the retry record is acknowledged, the delivery not settled
	crashInRevoked = "in-revoked" // P6: partitions are being given up
	crashResent    = "resent"     // P7: a resend is acknowledged in the retry topics, and not marked
	crashResolved  = "resolved"   // P8: a tombstone of a diverted event is acknowledged, and not indexed
	crashIndexing  = "indexing"   // P9: diverted events are being read into the index
)

// prepareProcess makes of this process what a test has asked for in its environment.
func prepareProcess() {
	var prepare []func(*node)
	if spec := os.Getenv("TEST_CRASH_AT"); spec != "" { // point:n, n from 1
		point, text, _ := strings.Cut(spec, ":")
		n, err := strconv.ParseInt(text, 10, 64)
		must(err)
		prepare = append(prepare, func(node *node) {
			c := &crash{point: point, domains: node.Domains, topics: node.Topics}
			c.left.Store(n)
			c.arm(node)
		})
	}
	if text := os.Getenv("TEST_NOFILE"); text != "" { // open files at most
		limit, err := strconv.ParseUint(text, 10, 64)
		must(err)
		must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit}))
	}
	if text := os.Getenv("TEST_FRESH_FOR"); text != "" { // how long a confirmation of the subscriptions counts
		fresh, err := time.ParseDuration(text)
		must(err)
		prepare = append(prepare, func(node *node) { node.FreshFor = fresh })
	}
	beforeRun = func(node *node) {
		for _, f := range prepare {
			f(node)
		}
	}
}

// must ends a process whose environment makes no sense.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// crash ends the process when its point was reached as often as was asked for.
type crash struct {
	point   string
	domains map[string]string
	topics  relay.Topics
	left    atomic.Int64
}

func (c *crash) arm(n *node) {
	switch c.point {
	case crashFetched, crashHandedOff, crashResent, crashResolved, crashIndexing:
		n.Kafka = append(slices.Clone(n.Kafka), kgo.WithHooks(c))
	case crashAnswered:
		n.OnReport = func(r deliver.Report) {
			if r.Next.Action == deliver.ActionSettle {
				c.reach()
			}
		}
	case crashInRevoked:
		n.Log = slog.New(revocations{n.Log.Handler(), c})
	default:
		panic("no such point: " + c.point)
	}
}

func (c *crash) reach() {
	if c.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing happens between the signal and its effect
	}
}

// OnFetchRecordUnbuffered implements kgo.HookFetchRecordUnbuffered: a record is handed to whoever polls.
func (c *crash) OnFetchRecordUnbuffered(rec *kgo.Record, polled bool) {
	_, domain := c.domains[rec.Topic]
	if polled && (domain && c.point == crashFetched || rec.Topic == c.topics.Diverted() && c.point == crashIndexing) {
		c.reach()
	}
}

// OnProduceRecordUnbuffered implements kgo.HookProduceRecordUnbuffered: it is called before the promise of the record.
func (c *crash) OnProduceRecordUnbuffered(rec *kgo.Record, err error) {
	if err != nil {
		return
	}
	waits := slices.Contains(c.topics.RetryAll(), rec.Topic)
	switch c.point {
	case crashHandedOff:
		if waits {
			c.reach()
		}
	case crashResent:
		if d, err := relay.DecodeDelivery(rec); waits && err == nil && d.DivertKey != "" {
			c.reach()
		}
	case crashResolved:
		if rec.Topic == c.topics.Diverted() && rec.Value == nil {
			c.reach()
		}
	}
}

// revocations sees in the log that partitions are given up.
type revocations struct {
	slog.Handler
	c *crash
}

// Handle implements slog.Handler.
func (h revocations) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "partitions_revoked" {
		h.c.reach()
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// Enabled implements slog.Handler: the line is looked for whatever the level.
func (h revocations) Enabled(context.Context, slog.Level) bool { return true }

// crashed notes what a crash that has just happened entitles to be delivered once more: whatever stands above the
// committed offsets is read again. It must be called before another process goes on.
func (l *load) crashed(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	from := kadm.Offsets{}
	for _, group := range []string{l.f.group, l.f.group + "-retry"} {
		offsets, err := l.f.admin.FetchOffsets(ctx, group)
		require.NoError(t, err)
		offsets.Each(func(o kadm.OffsetResponse) { from.Add(o.Offset) })
	}
	records := readFrom(t, l.f.kafka, from, append(l.f.topics.RetryAll(), l.f.domains...)...)
	l.o.mu.Lock()
	defer l.o.mu.Unlock()
	for _, rec := range records {
		if d, err := relay.DecodeDelivery(rec); err == nil {
			l.o.again[pair{d.Event.ID, l.names[d.UID]}]++
			continue
		}
		id, _ := relay.Header(rec, "ce_id")
		for _, p := range l.pairs(string(id)) {
			l.o.again[p]++
		}
	}
}
