package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"eventrelay/relay"
)

// auditor holds every commit of the domain topics until it has looked at what Kafka and the receivers have: an offset
// may pass an event only if each delivery of it is acknowledged by its receiver, or stands in a retry or diverted topic.
type auditor struct {
	t       *testing.T
	l       *load
	domains map[string]bool
	reader  *kgo.Client
	admin   *kadm.Client

	// Of the goroutine that audits: the broker lets one commit through at a time.
	next    map[string]map[int32]int64   // what was read so far
	events  map[string]map[int32][]int64 // offsets of domain topics, as read
	ids     map[string]string            // event id by topic/partition/offset
	durable map[pair]bool
	passed  map[string]int64 // by topic/partition: up to where commits were audited

	mu      sync.Mutex
	commits int
	faults  []string
}

// newSafeFleet is a fleet on an embedded broker with short sessions, whose commits are audited.
func newSafeFleet(t *testing.T, delays ...time.Duration) (*fleet, *kfake.Cluster) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{
		"group.initial.rebalance.delay.ms": "0", "group.min.session.timeout.ms": "100"}))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return newFleetOn(t, cluster.ListenAddrs(), "", delays...), cluster
}

func audit(t *testing.T, f *fleet, cluster *kfake.Cluster, l *load) *auditor {
	t.Helper()
	a := &auditor{t: t, l: l, domains: map[string]bool{}, next: map[string]map[int32]int64{}, events: map[string]map[int32][]int64{},
		ids: map[string]string{}, durable: map[pair]bool{}, passed: map[string]int64{}}
	topics := append(append([]string{f.topics.Diverted()}, f.topics.RetryAll()...), f.domains...)
	for _, topic := range topics {
		a.next[topic], a.events[topic] = map[int32]int64{}, map[int32][]int64{}
	}
	for _, topic := range f.domains {
		a.domains[topic] = true
	}
	var err error
	a.reader, err = kgo.NewClient(append(append([]kgo.Opt{}, f.kafka...), kgo.ConsumeTopics(topics...), kgo.FetchMaxWait(10*time.Millisecond))...)
	require.NoError(t, err)
	t.Cleanup(a.reader.Close)
	a.admin = kadm.NewClient(a.reader)
	// The wheel must not trim what the auditor has not read.
	trimming := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteRecords}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	t.Cleanup(trimming.Remove)
	cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		commit := req.(*kmsg.OffsetCommitRequest)
		if commit.Group == f.group {
			cluster.SleepControl(func() { a.audit(commit) })
		}
		return nil, nil, false
	})
	return a
}

func (a *auditor) fault(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.faults) < 10 {
		a.faults = append(a.faults, fmt.Sprintf(format, args...))
	}
}

func (a *auditor) audit(commit *kmsg.OffsetCommitRequest) {
	// Delivered is looked at last: a delivery that is neither durable nor delivered by then was passed.
	if err := a.readToEnd(); err != nil {
		a.fault("audit: %v", err)
		return
	}
	for _, topic := range commit.Topics {
		name := topic.Topic
		if name == "" {
			name = a.nameOf(topic.TopicID)
		}
		if !a.domains[name] {
			continue
		}
		for _, p := range topic.Partitions {
			a.pass(name, p.Partition, p.Offset)
		}
	}
	a.mu.Lock()
	a.commits++
	a.mu.Unlock()
}

func (a *auditor) pass(topic string, partition int32, to int64) {
	key := fmt.Sprintf("%s/%d", topic, partition)
	for _, offset := range a.events[topic][partition] {
		if offset < a.passed[key] || offset >= to {
			continue
		}
		event := a.ids[fmt.Sprintf("%s/%d", key, offset)]
		for _, p := range a.l.undelivered(event) {
			if !a.durable[p] {
				a.fault("commit of %s at %d passes offset %d: %v is nowhere", key, to, offset, p)
			}
		}
	}
	a.passed[key] = max(a.passed[key], to)
}

// readToEnd reads all topics to where they end now.
func (a *auditor) readToEnd() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	topics := make([]string, 0, len(a.next))
	for topic := range a.next {
		topics = append(topics, topic)
	}
	ends, err := a.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	behind := func() bool {
		far := false
		ends.Each(func(o kadm.ListedOffset) { far = far || a.next[o.Topic][o.Partition] < o.Offset })
		return far
	}
	for behind() {
		fetches := a.reader.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fetches.EachRecord(a.take)
	}
	return nil
}

func (a *auditor) take(rec *kgo.Record) {
	a.next[rec.Topic][rec.Partition] = rec.Offset + 1
	if a.domains[rec.Topic] {
		a.events[rec.Topic][rec.Partition] = append(a.events[rec.Topic][rec.Partition], rec.Offset)
		id, _ := relay.Header(rec, "ce_id")
		a.ids[fmt.Sprintf("%s/%d/%d", rec.Topic, rec.Partition, rec.Offset)] = string(id)
		return
	}
	if d, err := relay.DecodeDelivery(rec); err == nil {
		a.durable[pair{d.Event.ID, a.l.names[d.UID]}] = true
	}
}

func (a *auditor) nameOf(id [16]byte) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	details, err := a.admin.ListTopics(ctx)
	if err != nil {
		return ""
	}
	for name, d := range details {
		if d.ID == id {
			return name
		}
	}
	return ""
}

func (a *auditor) audited() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.commits
}

// verdict fails the test for what was found.
func (a *auditor) verdict(t *testing.T) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	require.Empty(t, a.faults)
	require.Positive(t, a.commits)
	var passed int64
	for _, to := range a.passed {
		passed += to
	}
	t.Logf("%d commits audited, %d events passed", a.commits, passed)
}

// undelivered are the pairs of an event that no receiver has acknowledged.
func (l *load) undelivered(event string) []pair {
	var (
		n    int
		list []pair
	)
	if _, err := fmt.Sscanf(event, "evt-%d", &n); err != nil {
		return nil
	}
	l.o.mu.Lock()
	defer l.o.mu.Unlock()
	for _, webhook := range l.wanting[n%len(l.wanting)] {
		if p := (pair{event, webhook}); l.o.delivered[p] == 0 {
			list = append(list, p)
		}
	}
	return list
}
