package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// auditor holds every commit until it has looked at what Kafka and the receivers have: an offset may pass an event, or a
// waiting delivery, only if what it stood for is acknowledged by its receiver or stands in a retry or diverted topic, in
// a record that is not passed itself. What is committed never goes back.
//
// The commits of a real broker cannot be held: there the auditor asks for them all the time, see watch.
type auditor struct {
	t        *testing.T
	l        *load
	groups   map[string]bool // whose commits are audited
	domains  map[string]bool
	reader   *kgo.Client
	admin    *kadm.Client
	auditing sync.Mutex                    // held for one commit; guards what follows: the broker has several groups' in hand at once
	next     map[string]map[int32]int64    // what was read so far
	standing map[topicPartition][]standing // records, as read
	diverted map[string]pair               // live entries by key
	live     map[pair]int                  // records of retry and diverted topics that stand for the pair
	passed   map[topicPartition]int64      // up to where commits were audited
	stored   map[topicPartition]int64      // what the broker had at the latest commit
	doubts   []suspect                     // of commits that are watched
	watching bool                          // instead of held

	mu      sync.Mutex
	commits int
	faults  []string
	drop    func(n int) bool // see dropCommit
}

// standing is a record that a commit may pass: an event, or a delivery that waits.
type standing struct {
	offset int64
	event  string // of a domain topic; else pair and source
	pair   pair
	source topicPartition
	at     int64 // offset of the event there
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

// audit looks at the commits that the cluster gets, or at those of the real broker where cluster is nil.
func audit(t *testing.T, f *fleet, cluster *kfake.Cluster, l *load) *auditor {
	t.Helper()
	a := &auditor{t: t, l: l, groups: map[string]bool{f.group: true, f.group + "-retry": true}, domains: map[string]bool{},
		next: map[string]map[int32]int64{}, standing: map[topicPartition][]standing{}, diverted: map[string]pair{}, live: map[pair]int{},
		passed: map[topicPartition]int64{}, stored: map[topicPartition]int64{}}
	topics := append(append([]string{f.topics.Diverted()}, f.topics.RetryAll()...), f.domains...)
	for _, topic := range topics {
		a.next[topic] = map[int32]int64{}
	}
	for _, topic := range f.domains {
		a.domains[topic] = true
	}
	var err error
	a.reader, err = kgo.NewClient(append(append([]kgo.Opt{}, f.kafka...), kgo.ConsumeTopics(topics...), kgo.FetchMaxWait(10*time.Millisecond))...)
	require.NoError(t, err)
	t.Cleanup(a.reader.Close)
	a.admin = kadm.NewClient(a.reader)
	if cluster == nil {
		a.watch(t)
	} else {
		a.attach(cluster)
	}
	return a
}

// attach audits the commits that a broker gets. The wheel must not trim there what the auditor has not read.
func (a *auditor) attach(cluster *kfake.Cluster) {
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteRecords}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		commit := req.(*kmsg.OffsetCommitRequest)
		if !a.groups[commit.Group] {
			return nil, nil, false
		}
		drop := false
		cluster.SleepControl(func() { drop = a.audit(commit) })
		if drop {
			return nil, errDropped, true
		}
		return nil, nil, false
	})
}

// errDropped closes the connection of a commit that is to get lost.
var errDropped = errors.New("dropped by the test")

func (a *auditor) fault(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.faults) < 10 {
		a.faults = append(a.faults, fmt.Sprintf(format, args...))
	}
}

func (a *auditor) audit(commit *kmsg.OffsetCommitRequest) (lost bool) {
	a.auditing.Lock()
	defer a.auditing.Unlock()
	// Delivered is looked at last: a delivery that is neither durable nor delivered by then was passed.
	err := a.readToEnd(context.Background())
	if err == nil {
		_, _, err = a.lookBack(context.Background(), commit.Group)
	}
	if err != nil {
		if a.t.Context().Err() == nil {
			a.fault("audit: %v", err)
		}
		return false
	}
	commits := map[topicPartition]int64{}
	for _, topic := range commit.Topics {
		name := topic.Topic
		if name == "" {
			name = a.nameOf(topic.TopicID)
		}
		for _, p := range topic.Partitions {
			commits[topicPartition{name, p.Partition}] = p.Offset
		}
	}
	for _, s := range a.suspects(commit.Group, commits) {
		a.fault("%s", s.text)
	}
	a.mu.Lock()
	a.commits++
	n, drop := a.commits, a.drop
	a.mu.Unlock()
	return drop != nil && drop(n)
}

// suspect is a delivery that a commit passes although it is nowhere.
type suspect struct {
	pair pair
	text string
}

// suspects moves the audited commits of a group on and says what they pass that is nowhere.
func (a *auditor) suspects(group string, commits map[topicPartition]int64) (found []suspect) {
	var left []standing // deliveries that stand in no other record
	for p, to := range commits {
		if a.next[p.topic] == nil {
			continue
		}
		deliveries, nowhere := a.pass(p, to)
		left, found = append(left, deliveries...), append(found, nowhere...)
	}
	for _, s := range left {
		// The event itself may not be passed yet: then it is read again.
		if a.live[s.pair] == 0 && a.passed[s.source] > s.at && a.l.o.undelivered(s.pair) {
			found = append(found, suspect{s.pair, fmt.Sprintf("commit of %s at %d passes %v: it is nowhere else", group, s.offset, s.pair)})
		}
	}
	return found
}

// pass moves the audited commit of a partition on. It returns the deliveries whose records were passed, and what an event
// that was passed owes and is nowhere.
func (a *auditor) pass(p topicPartition, to int64) (deliveries []standing, nowhere []suspect) {
	for _, s := range a.standing[p] {
		if s.offset < a.passed[p] || s.offset >= to {
			continue
		}
		if !a.domains[p.topic] {
			a.live[s.pair]--
			deliveries = append(deliveries, s)
			continue
		}
		for _, owed := range a.l.undelivered(s.event) {
			if a.live[owed] == 0 {
				nowhere = append(nowhere, suspect{owed, fmt.Sprintf("commit of %v at %d passes offset %d: %v is nowhere", p, to, s.offset, owed)})
			}
		}
	}
	a.passed[p] = max(a.passed[p], to)
	return deliveries, nowhere
}

// lookBack checks that what the broker has of the group's offsets has not gone back since the commit before, and says
// whether it has moved. A refused commit of a member that was thrown out is none, so the broker is asked.
func (a *auditor) lookBack(ctx context.Context, group string) (stored map[topicPartition]int64, moved bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	offsets, err := a.admin.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // nothing was committed yet
		return nil, false, err
	}
	stored = map[topicPartition]int64{}
	offsets.Each(func(o kadm.OffsetResponse) {
		p := topicPartition{o.Topic, o.Partition}
		if o.At < a.stored[p] {
			a.fault("the commit of %v went back from %d to %d", p, a.stored[p], o.At)
		}
		moved = moved || o.At > a.stored[p]
		a.stored[p], stored[p] = o.At, o.At
	})
	return stored, moved, nil
}

// readToEnd reads all topics to where they end now.
func (a *auditor) readToEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	topics := make([]string, 0, len(a.next))
	for topic := range a.next {
		topics = append(topics, topic)
	}
	ends, err := a.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	starts, err := a.admin.ListStartOffsets(ctx, topics...) // after the ends: what is trimmed is not waited for
	if err != nil {
		return err
	}
	behind := func() bool {
		far := false
		ends.Each(func(o kadm.ListedOffset) {
			start, _ := starts.Lookup(o.Topic, o.Partition)
			far = far || max(a.next[o.Topic][o.Partition], start.Offset) < o.Offset
		})
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
	p := topicPartition{rec.Topic, rec.Partition}
	a.next[rec.Topic][rec.Partition] = rec.Offset + 1
	if a.domains[rec.Topic] {
		id, _ := relay.Header(rec, "ce_id")
		a.standing[p] = append(a.standing[p], standing{offset: rec.Offset, event: string(id)})
		return
	}
	key := string(rec.Key)
	if entry, ok := a.diverted[key]; ok && rec.Topic == a.l.f.topics.Diverted() { // replaced, or resolved by a tombstone
		a.live[entry]--
		delete(a.diverted, key)
	}
	d, err := relay.DecodeDelivery(rec)
	if err != nil {
		return
	}
	owed := pair{d.Event.ID, a.l.names[d.UID]}
	a.live[owed]++
	if rec.Topic == a.l.f.topics.Diverted() {
		a.diverted[key] = owed
		return
	}
	a.standing[p] = append(a.standing[p], standing{offset: rec.Offset, pair: owed,
		source: topicPartition{d.Source.Topic, d.Source.Partition}, at: d.Source.Offset})
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
	if a.watching {
		a.look(t.Context())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	require.Empty(t, a.faults)
	require.Positive(t, a.commits)
	var passed int64
	for _, to := range a.passed {
		passed += to
	}
	t.Logf("%d commits audited, %d records passed", a.commits, passed)
}

// undelivered reports that no receiver has acknowledged the pair.
func (o *oracle) undelivered(p pair) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.delivered[p] == 0
}

// pairs are the deliveries that an event owes.
func (l *load) pairs(event string) []pair {
	var n int
	if _, err := fmt.Sscanf(event, "evt-%d", &n); err != nil {
		return nil
	}
	kind := l.wanting[n%len(l.wanting)]
	list := make([]pair, len(kind))
	for i, webhook := range kind {
		list[i] = pair{event, webhook}
	}
	return list
}

// undelivered are the pairs of an event that no receiver has acknowledged.
func (l *load) undelivered(event string) []pair {
	return slices.DeleteFunc(l.pairs(event), func(p pair) bool { return !l.o.undelivered(p) })
}
