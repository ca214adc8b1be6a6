package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// GroupOptions configure a Group. All fields without a default are required.
type GroupOptions struct {
	// Name labels logs and metrics: "intake" or "retry".
	Name string
	// Kafka holds seeds and security.
	Kafka []kgo.Opt
	// Group is the consumer group; Topics are what it reads.
	Group  string
	Topics []string
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
	// Window is shared by all partitions of the group.
	Window *Window
	// Work takes records with a.Next until it returns false. One goroutine per assignment.
	Work func(a *Assignment)
	// HandOff hands off every delivery of the assignment that has not begun.
	HandOff func(a *Assignment)
	// Drop forgets the deliveries of a lost assignment that have not begun.
	Drop func(a *Assignment)
	// Each runs about every TrimEvery for the assignments held, with their committed offsets. Optional.
	Each func(ctx context.Context, admin *kadm.Client, committed map[string]map[int32]kgo.EpochOffset)

	Log        *slog.Logger
	Registerer prometheus.Registerer
}

const (
	defaultSessionTimeout = 45 * time.Second
	defaultDrainTimeout   = 10 * time.Second
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
	// maxDecompress bounds what one fetched batch may inflate to.
	maxDecompress = 64 << 20
)

// Group is a member of a consumer group. See the package comment for who owns what.
type Group struct {
	o       GroupOptions
	metrics *groupMetrics

	mu       sync.Mutex // guards assigned and halted
	assigned map[partition]*Assignment
	halted   map[partition]error // partitions that stopped with an alarm: offset out of range, data loss
	workers  sync.WaitGroup
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
	if o.DrainTimeout == 0 {
		o.DrainTimeout = defaultDrainTimeout
	}
	if o.DrainTimeout+commitTimeout >= rebalanceTimeout {
		return nil, fmt.Errorf("drain timeout %s: must be below %s, so that a rebalance never waits longer than its timeout of %s",
			o.DrainTimeout, rebalanceTimeout-commitTimeout, rebalanceTimeout)
	}
	g := &Group{o: o, assigned: map[partition]*Assignment{}, halted: map[partition]error{}}
	g.metrics = newGroupMetrics(g, o.Name, o.Registerer)
	return g, nil
}

// join makes the client, which joins the group at once: not before Run, so that nothing is assigned to a process
// that is not ready for it.
func (g *Group) join() (*kgo.Client, error) {
	o := g.o
	opts := append([]kgo.Opt{}, o.Kafka...)
	opts = append(opts,
		kgo.ConsumerGroup(o.Group),
		kgo.ConsumeTopics(o.Topics...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(o.SessionTimeout),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, o.SessionTimeout/3)),
		kgo.BlockRebalanceOnPoll(),
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(commitEvery),
		kgo.OnPartitionsAssigned(g.onAssigned),
		kgo.OnPartitionsRevoked(g.onRevoked),
		kgo.OnPartitionsLost(g.onLost),
		// A partition without a commit is one that was added later: all of it is new. An offset out of range is an
		// alarm and a halt, never a jump.
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.FetchMaxPartitionBytes(1<<20),
		kgo.FetchMaxBytes(int32(max(16<<20, o.MaxRecordBytes))),
		kgo.MaxDecompressBatchBytes(max(maxDecompress, 2*o.MaxRecordBytes)),
	)
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
	client, err := g.join()
	if err != nil {
		return err
	}
	gate := make(chan struct{})
	gateCtx, stopGate := context.WithCancel(ctx)
	go func() {
		defer close(gate)
		g.resumeLoop(gateCtx, client)
	}()
	err = g.pollLoop(ctx, client)
	stopGate()
	<-gate

	g.drain(client, g.take(nil), ErrStopping)
	// What the client itself calls at close finds no assignment left.
	client.CloseAllowingRebalance()
	g.workers.Wait()
	return err
}

func (g *Group) pollLoop(ctx context.Context, client *kgo.Client) error {
	for {
		fetches := client.PollRecords(ctx, pollRecords)
		if !fetches.IsClientClosed() {
			fetches.EachError(g.onFetchError)
			fetches.EachPartition(func(p kgo.FetchTopicPartition) { g.accept(client, p) })
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
	g.mu.Lock()
	a := g.assigned[partition{p.Topic, p.Partition}]
	g.mu.Unlock()
	if a == nil { // cannot be: rebalances are blocked during a poll
		g.o.Log.Error("records_without_assignment", "topic", p.Topic, "partition", p.Partition)
		return
	}
	if a.put(p.Records) {
		client.PauseFetchPartitions(map[string][]int32{p.Topic: {p.Partition}})
	}
}

// resumeLoop is the gate: the only one that resumes partitions of living assignments, apart from their end.
func (g *Group) resumeLoop(ctx context.Context, client *kgo.Client) {
	admin := kadm.NewClient(client)
	gate, each := time.NewTicker(gateEvery), time.NewTicker(eachEvery)
	defer gate.Stop()
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.o.Window.Low():
		case <-gate.C:
		case <-each.C:
			if g.o.Each != nil {
				g.o.Each(ctx, admin, client.CommittedOffsets())
			}
			continue
		}
		g.mu.Lock()
		for p, a := range g.assigned {
			if a.mayResume() {
				client.ResumeFetchPartitions(map[string][]int32{p.topic: {p.num}})
			}
		}
		g.mu.Unlock()
	}
}

func (g *Group) onAssigned(ctx context.Context, client *kgo.Client, assigned map[string][]int32) {
	ids := g.lookUpTopicIDs(ctx, kadm.NewClient(client), assigned)
	g.mu.Lock()
	defer g.mu.Unlock()
	for topic, nums := range assigned {
		for _, num := range nums {
			p := partition{topic, num}
			delete(g.halted, p)
			actx, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // the callback's context ends with the client, ours with the assignment
			attempts, abort := context.WithCancelCause(context.WithoutCancel(ctx))
			a := &Assignment{
				attempts: attempts, abort: abort,
				Topic: topic, TopicID: ids[topic], Partition: num, window: g.o.Window,
				Ledger: newLedger(g.o.Window, func(rec *kgo.Record) { client.MarkCommitRecords(rec) }),
				ctx:    actx, cancel: cancel, worker: make(chan struct{}), arrived: make(chan struct{}, 1),
			}
			g.assigned[p] = a
			g.workers.Add(1)
			go func() {
				defer g.workers.Done()
				defer close(a.worker)
				g.o.Work(a)
			}()
		}
	}
	// Pause state outlives assignments inside the client: whatever was left must not keep the new ones silent.
	client.ResumeFetchPartitions(assigned)
	if len(assigned) > 0 {
		g.o.Log.Info("partitions_assigned", "group", g.o.Group, "partitions", assigned)
	}
}

// lookUpTopicIDs asks for the ids that make a delivery's identity; it repeats until Kafka answers, because an
// assignment without them would give deliveries another identity than their retries have.
func (g *Group) lookUpTopicIDs(ctx context.Context, admin *kadm.Client, assigned map[string][]int32) map[string][16]byte {
	topics := make([]string, 0, len(assigned))
	for topic := range assigned {
		topics = append(topics, topic)
	}
	ids := make(map[string][16]byte, len(topics))
	for len(topics) > 0 && ctx.Err() == nil {
		details, err := admin.ListTopics(ctx, topics...)
		if err == nil {
			for _, d := range details {
				if d.Err == nil {
					ids[d.Topic] = d.ID
				}
			}
			return ids
		}
		g.o.Log.Warn("topic_ids_unavailable", "topics", topics, "err", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return ids
}

func (g *Group) onRevoked(_ context.Context, client *kgo.Client, revoked map[string][]int32) {
	if len(revoked) == 0 {
		return
	}
	g.o.Log.Info("partitions_revoked", "group", g.o.Group, "partitions", revoked)
	g.drain(client, g.take(revoked), ErrRevoked)
	client.ResumeFetchPartitions(revoked)
}

func (g *Group) onLost(_ context.Context, client *kgo.Client, lost map[string][]int32) {
	if len(lost) == 0 {
		return
	}
	g.o.Log.Warn("partitions_lost", "group", g.o.Group, "partitions", lost,
		"hint", "this member was silent longer than the session timeout; another one has its partitions")
	for _, a := range g.take(lost) {
		a.Ledger.Seal()
		a.end(ErrLost)
		a.abort(ErrLost)
		g.o.Drop(a)
	}
	client.ResumeFetchPartitions(lost)
}

// take removes assignments from the map; nil takes all.
func (g *Group) take(parts map[string][]int32) []*Assignment {
	g.mu.Lock()
	defer g.mu.Unlock()
	var taken []*Assignment
	if parts == nil {
		for p, a := range g.assigned {
			taken = append(taken, a)
			delete(g.assigned, p)
		}
		return taken
	}
	for topic, nums := range parts {
		for _, num := range nums {
			p := partition{topic, num}
			if a := g.assigned[p]; a != nil {
				taken = append(taken, a)
				delete(g.assigned, p)
			}
		}
	}
	return taken
}

// drain ends assignments without losing or repeating what finished: see step 4 of the package comment.
func (g *Group) drain(client *kgo.Client, list []*Assignment, cause error) {
	if len(list) == 0 {
		return
	}
	for _, a := range list {
		a.end(cause)
	}
	// Half of the time for what is under way to finish, the other half for what was cancelled to be handed off.
	ctx, cancel := context.WithTimeoutCause(context.Background(), g.o.DrainTimeout, //nolint:contextcheck // the drain outlives the context that ended
		fmt.Errorf("%s: drain took longer than %s", g.o.Name, g.o.DrainTimeout))
	defer cancel()
	half := time.NewTimer(g.o.DrainTimeout / 2)
	defer half.Stop()
	for _, a := range list {
		g.o.HandOff(a)
	}
	for _, a := range list {
		for worker := a.worker; ; {
			open, changed := a.Ledger.Open()
			if open == 0 && worker == nil {
				break
			}
			select {
			case <-worker:
				worker = nil
				g.o.HandOff(a) // what the worker submitted last
				continue
			case <-changed:
				continue
			case <-half.C:
				for _, a := range list {
					a.abort(cause)
				}
				continue
			case <-ctx.Done():
			}
			break
		}
	}
	left := 0
	for _, a := range list {
		left += a.Ledger.Seal()
		a.abort(cause) // releases the context; what is still under way changes nothing any more
	}
	if left > 0 {
		g.o.Log.Warn("drain_incomplete", "group", g.o.Group, "records", left, "waited", g.o.DrainTimeout.String(),
			"hint", "these records are read again; receivers may see duplicates with the same webhook-id")
	}
	commitCtx, cancelCommit := context.WithTimeoutCause(context.Background(), commitTimeout, //nolint:contextcheck // as above
		fmt.Errorf("%s: commit took longer than %s", g.o.Name, commitTimeout))
	defer cancelCommit()
	if err := client.CommitMarkedOffsets(commitCtx); err != nil {
		g.o.Log.Warn("commit_failed", "group", g.o.Group, "err", err, "hint", "what finished since the last commit is read again")
	}
}

func (g *Group) onFetchError(topic string, num int32, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	halt := halts(err)
	g.metrics.fetchErrors.Inc()
	if !halt {
		g.o.Log.Warn("fetch_failed", "group", g.o.Group, "topic", topic, "partition", num, "err", err)
		return
	}
	g.mu.Lock()
	g.halted[partition{topic, num}] = err
	g.mu.Unlock()
	g.o.Log.Error("partition_halted", "group", g.o.Group, "topic", topic, "partition", num, "err", err,
		"hint", "records may have been deleted before they were relayed; inspect the topic, set the group's offset by hand, then restart")
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
