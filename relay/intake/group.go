package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// GroupOptions configure a Group. All fields without a default are required.
type GroupOptions struct {
	// Name labels logs and metrics: "intake" or "retry".
	Name string
	// Kafka holds seeds and security.
	Kafka []kgo.Opt
	// Group is the consumer group; Topics are what it reads, or when Pattern is set regular expressions for it.
	Group   string
	Topics  []string
	Pattern bool
	// InstanceID makes the member static: a restart within SessionTimeout gets its partitions back without a
	// rebalance. Empty: a dynamic member.
	InstanceID string
	// SessionTimeout after which a silent member's partitions are given to others. Default 45 s.
	SessionTimeout time.Duration
	// DrainTimeout is how long deliveries under way may go on at revoke and stop before they are cancelled and
	// handed off. Default 10 s; it must leave room within the rebalance timeout (60 s) for the commit.
	DrainTimeout time.Duration
	// MaxRecordBytes is the largest record that must be readable.
	MaxRecordBytes int
	// FetchBytes is what one answer of a broker holds, as stored; more only where a single batch is larger. Default 16 MiB.
	FetchBytes int
	// Window is shared by all partitions of the group.
	Window *Window
	// Inbox of each partition. Default DefaultInbox.
	Inbox Inbox
	// Work takes records with a.Next until it returns false. One goroutine per assignment.
	Work func(a *Assignment)
	// HandOff hands off every delivery of the assignment that has not begun.
	HandOff func(a *Assignment)
	// Drop forgets the deliveries of a lost assignment that have not begun.
	Drop func(a *Assignment)
	// Each runs about every eachEvery, with the committed offsets of the partitions held. Optional.
	Each func(ctx context.Context, admin *kadm.Client, committed map[string]map[int32]kgo.EpochOffset)

	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// metadataEvery is within what partitions that were added are noticed. The client's default is five minutes, for which
// what is published to them would wait.
const metadataEvery = 15 * time.Second

const (
	defaultSessionTimeout = 45 * time.Second
	defaultDrainTimeout   = 10 * time.Second
	defaultFetchBytes     = 16 << 20
	rebalanceTimeout      = 60 * time.Second
	// commitEvery bounds what a crash redelivers: at most what finished within it.
	commitEvery = time.Second
	// gateEvery is how often paused partitions are looked at without being told to.
	gateEvery = time.Second
	// eachEvery is how often GroupOptions.Each runs.
	eachEvery = 15 * time.Second
	// pollRecords bounds one hand-over, and with it how long a rebalance waits for the poller.
	pollRecords = 2000
	// commitTimeout bounds the synchronous commit at revoke and stop.
	commitTimeout = 10 * time.Second
	// fetchMaxWait is how long the broker holds a fetch that finds nothing. A partition that was just assigned or
	// resumed is in the next fetch, not in the one under way, so this is also how long it may stay silent.
	fetchMaxWait = 250 * time.Millisecond
	// partitionBytes is what one fetch takes of a partition, as the broker stores it, unless its inbox is smaller. What was
	// fetched of a partition that is paused is thrown away and fetched again: events of 600 B that compress to a fifth
	// are 2 000 in this, which is what an inbox takes. With 1 MiB a backlog was fetched five times.
	partitionBytes = 256 << 10
	// commitLogEvery bounds the log lines of commits that fail again and again.
	commitLogEvery = 10 * time.Second
	// maxDecompress bounds what one fetched batch may inflate to.
	maxDecompress = 64 << 20
)

// Group is a member of a consumer group. See the package comment for who owns what.
type Group struct {
	o       GroupOptions
	metrics *groupMetrics

	mu       sync.Mutex // guards assigned, halted and refused
	assigned map[partition]*Assignment
	halted   map[partition]error    // partitions that stopped with an alarm, see halts
	refused  map[partition]*refusal // partitions that are not read at present, and why
	roomy    chan struct{}          // capacity 1: a paused partition's inbox has room
	workers  sync.WaitGroup         // workers of assignments, and hand-offs of drains

	draining sync.Mutex // held for a whole drain, its commit included

	commitLogged atomic.Int64 // Unix ns of the last log line about a failed commit
}

type partition struct {
	topic string
	num   int32
}

// NewGroup checks the options. It connects to nothing.
func NewGroup(o GroupOptions) (*Group, error) {
	if o.SessionTimeout == 0 {
		o.SessionTimeout = defaultSessionTimeout
	}
	if o.Inbox == (Inbox{}) {
		o.Inbox = DefaultInbox
	}
	if o.FetchBytes == 0 {
		o.FetchBytes = defaultFetchBytes
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = defaultDrainTimeout
	}
	if o.DrainTimeout+commitTimeout >= rebalanceTimeout {
		return nil, fmt.Errorf("drain timeout %s: must be below %s, so that a rebalance never waits longer than its timeout of %s",
			o.DrainTimeout, rebalanceTimeout-commitTimeout, rebalanceTimeout)
	}
	g := &Group{o: o, assigned: map[partition]*Assignment{}, halted: map[partition]error{}, refused: map[partition]*refusal{}, roomy: make(chan struct{}, 1)}
	g.metrics = newGroupMetrics(g, o.Name, o.Registerer)
	return g, nil
}

// join makes the client, which joins the group at once: not before Run, so that nothing is assigned to a process
// that is not ready for it. What the client waits for ends with life.
func (g *Group) join(life context.Context) (*kgo.Client, error) {
	o := g.o
	opts := append([]kgo.Opt{kgo.MetadataMaxAge(metadataEvery)}, o.Kafka...)
	opts = append(opts,
		kgo.WithContext(life),
		kgo.ConsumerGroup(o.Group),
		kgo.ConsumeTopics(o.Topics...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(o.SessionTimeout),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, o.SessionTimeout/3)),
		kgo.BlockRebalanceOnPoll(),
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(commitEvery),
		kgo.AutoCommitCallback(g.onCommit),
		kgo.OnPartitionsAssigned(g.onAssigned),
		kgo.OnPartitionsRevoked(g.onRevoked),
		kgo.OnPartitionsLost(g.onLost),
		// A partition without a commit is one that was added later: all of it is new. An offset out of range is an
		// alarm and a halt, never a jump.
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.FetchMaxPartitionBytes(int32(min(partitionBytes, o.Inbox.Bytes))),
		kgo.FetchMaxBytes(int32(o.FetchBytes)),
		kgo.MaxDecompressBatchBytes(max(maxDecompress, 2*o.MaxRecordBytes)),
	)
	if o.Pattern {
		opts = append(opts, kgo.ConsumeRegex())
	}
	if o.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(o.InstanceID))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("%s: consumer: %w", o.Name, err)
	}
	return client, nil
}

// Run polls until ctx ends, then drains: what finished is committed, what did not is handed off. It owns every
// goroutine of the group and waits for them.
func (g *Group) Run(ctx context.Context) error {
	for {
		err := g.session(ctx)
		if !errors.Is(err, errRejoin) {
			return err
		}
		g.o.Log.Warn("group_rejoins", "group", g.o.Group, "hint", "a partition was assigned and could not be read; it is taken up anew")
	}
}

// session is one membership, from join to leave. It ends with errRejoin when another one has to follow.
func (g *Group) session(ctx context.Context) error {
	// The client outlives ctx: the drain needs it.
	life, endClient := context.WithCancel(context.WithoutCancel(ctx))
	defer endClient()
	client, err := g.join(life)
	if err != nil {
		return err
	}
	polling, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	loops, stopLoops := context.WithCancel(polling)
	var running sync.WaitGroup
	running.Go(func() { g.resumeLoop(loops, client, leave) })
	if g.o.Each != nil {
		running.Go(func() { g.eachLoop(loops, client) })
	}
	err = g.pollLoop(polling, client)
	if err == nil && ctx.Err() == nil {
		err = context.Cause(polling)
	}
	stopLoops()
	running.Wait()

	g.drain(client, nil, ErrStopping)
	// What the client itself calls at close finds no assignment left, unless a rebalance came in between.
	defer time.AfterFunc(closePatience, endClient).Stop() // see commitPatience
	client.CloseAllowingRebalance()
	g.forget(g.take(nil), ErrStopping)
	g.workers.Wait()
	return err
}

func (g *Group) pollLoop(ctx context.Context, client *kgo.Client) error {
	for {
		fetches := client.PollRecords(ctx, pollRecords)
		if !fetches.IsClientClosed() {
			fetches.EachError(func(topic string, num int32, err error) { g.onFetchError(client, topic, num, err) })
			fetches.EachPartition(func(p kgo.FetchTopicPartition) { g.accept(client, p) })
			g.pauseAll(client)
		}
		// After every return of poll, the ones with an error included: otherwise the next rebalance waits for ever.
		client.AllowRebalance()
		if ctx.Err() != nil {
			return nil
		}
		if fetches.IsClientClosed() {
			return fmt.Errorf("%s: client closed", g.o.Name)
		}
	}
}

func (g *Group) accept(client *kgo.Client, p kgo.FetchTopicPartition) {
	if len(p.Records) == 0 {
		return
	}
	// mu is held until the client knows of the pause: the gate must not resume in between what is then paused.
	g.mu.Lock()
	defer g.mu.Unlock()
	key := partition{p.Topic, p.Partition}
	if g.halted[key] != nil {
		return // what comes after a gap is not read: it would be committed, and the gap with it
	}
	a := g.assigned[key]
	if a == nil { // cannot be: rebalances are blocked during a poll
		g.o.Log.Error("records_without_assignment", "topic", p.Topic, "partition", p.Partition)
		return
	}
	delete(g.refused, key) // what arrives was not refused
	if a.put(p.Records) {
		client.PauseFetchPartitions(map[string][]int32{p.Topic: {p.Partition}})
	}
}

// pauseAll pauses every partition once the window holds the bytes that it may: each that went on until its own next
// record would add another, of up to the largest size.
func (g *Group) pauseAll(client *kgo.Client) {
	if !g.o.Window.fullOfBytes() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	paused := map[string][]int32{}
	for p, a := range g.assigned {
		if a.pause() {
			paused[p.topic] = append(paused[p.topic], p.num)
		}
	}
	if len(paused) > 0 {
		client.PauseFetchPartitions(paused)
	}
}

// resumeLoop is the gate: the only one that resumes partitions of living assignments, apart from their end. It calls
// leave when the group has to be joined anew.
func (g *Group) resumeLoop(ctx context.Context, client *kgo.Client, leave context.CancelCauseFunc) {
	gate := time.NewTicker(gateEvery)
	defer gate.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.o.Window.Low():
		case <-g.roomy:
		case <-gate.C:
		}
		g.mu.Lock()
		resumed, rejoin := g.readmit(time.Now())
		for p, a := range g.assigned {
			if r := g.refused[p]; g.halted[p] == nil && (r == nil || !r.held) && a.mayResume() {
				resumed[p.topic] = append(resumed[p.topic], p.num)
			}
		}
		if len(resumed) > 0 {
			client.ResumeFetchPartitions(resumed)
		}
		g.mu.Unlock()
		if rejoin {
			leave(errRejoin)
		}
	}
}

// eachLoop has its own goroutine: it waits for the broker, which the gate must not.
func (g *Group) eachLoop(ctx context.Context, client *kgo.Client) {
	admin := kadm.NewClient(client)
	each := time.NewTicker(eachEvery)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-each.C:
			g.o.Each(ctx, admin, client.CommittedOffsets())
		}
	}
}

// onCommit sees the outcome of each periodic commit. One that failed is repeated with the next; what it stands for
// is not lost, only read again after a crash.
func (g *Group) onCommit(client *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
	if err == nil {
		err = commitError(resp)
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	g.metrics.commitErrors.Inc()
	g.refuseCommit(client, err)
	last, now := g.commitLogged.Load(), time.Now().UnixNano()
	if now-last > int64(commitLogEvery) && g.commitLogged.CompareAndSwap(last, now) {
		g.o.Log.Warn("commit_failed", "group", g.o.Group, "err", err, "hint", "it is repeated every second; after a crash, what finished since the last commit is read again")
	}
}

func commitError(resp *kmsg.OffsetCommitResponse) error {
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("%s/%d: %w", topic.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

// Halted lists partitions that stopped with an alarm.
func (g *Group) Halted() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []string
	for p, err := range g.halted {
		list = append(list, fmt.Sprintf("%s/%d: %v", p.topic, p.num, err))
	}
	return list
}

// Assigned is the number of partitions that this member has.
func (g *Group) Assigned() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.assigned)
}
