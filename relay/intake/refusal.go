package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// refusal is what keeps a partition from being read although it is assigned, or the whole group from working: a
// permission that was taken away, an answer that makes no sense. It passes without a restart, unless the client finds
// the records themselves unreadable again and again.
type refusal struct {
	err      error
	last     time.Time // of the latest error
	logged   time.Time
	garbled  int  // times in a row that the client, not Kafka, rejected what it had read
	held     bool // paused because of it: Kafka answers a refused fetch at once, and asking again would spin
	silenced bool // no record has arrived under the assignment so far, see rejoins
}

const (
	// refusedHold is how long a refused partition stays paused before it is asked for again.
	refusedHold = time.Second
	// refusedFor is how long a refusal stands after its latest error: longer than the client's own waits between tries,
	// which are 2.5 s at most.
	refusedFor = 5 * time.Second
	// garbledMost is how often records may arrive unreadable before the partition halts: once is a fault of the way,
	// three times in a row is what the log holds.
	garbledMost = 3
	// refusedLogEvery bounds the log lines of one refusal.
	refusedLogEvery = 10 * time.Second
)

// Keys of refusals that concern no partition.
var (
	wholeGroup = partition{num: -1}
	commits    = partition{num: -2}
)

// errRejoin ends a session with the group that is to be begun anew.
var errRejoin = errors.New("joining the group again")

// again notes one more error and reports whether the partition has to halt.
func (r *refusal) again(err error, now time.Time) (halt bool) {
	r.err, r.last = err, now
	if saidByKafka(err) {
		r.garbled = 0
		return false
	}
	r.garbled++
	return r.garbled >= garbledMost
}

// saidByKafka tells an answer of the broker, or of the group's protocol, from what the client made of the bytes.
func saidByKafka(err error) bool {
	var (
		answer  *kerr.Error
		session *kgo.ErrGroupSession
	)
	return errors.As(err, &answer) || errors.As(err, &session)
}

// refuse notes an error of a partition, or of the whole group. Callers hold mu. It reports whether to log it, and
// whether the partition has to halt instead.
func (g *Group) refuse(client *kgo.Client, p partition, err error, now time.Time) (log, halt bool) {
	r := g.refused[p]
	if r == nil {
		r = &refusal{}
		g.refused[p] = r
	}
	if r.again(err, now) && p.topic != "" {
		delete(g.refused, p)
		return false, true
	}
	if a := g.assigned[p]; a != nil {
		r.silenced = a.silent()
		r.held = true
		client.PauseFetchPartitions(map[string][]int32{p.topic: {p.num}})
	}
	log = now.Sub(r.logged) >= refusedLogEvery
	if log {
		r.logged = now
	}
	return log, false
}

// readmit forgets refusals that are over and lists the partitions to ask for again. Callers hold mu.
//
// rejoin: a partition that gave nothing since it was assigned, and whose refusal did not come back, may be one whose
// committed offset could not be fetched: the client reports that once and then leaves the partition alone for good.
func (g *Group) readmit(now time.Time) (resume map[string][]int32, rejoin bool) {
	resume = map[string][]int32{}
	for p, r := range g.refused {
		a := g.assigned[p]
		if r.held && now.Sub(r.last) >= refusedHold {
			r.held = false
			if a != nil && g.halted[p] == nil && !a.isPaused() {
				resume[p.topic] = append(resume[p.topic], p.num)
			}
		}
		if now.Sub(r.last) >= refusedFor {
			delete(g.refused, p)
			rejoin = rejoin || (r.silenced && a != nil && g.halted[p] == nil && a.silent())
		}
	}
	return resume, rejoin
}

// Refused lists what Kafka does not let this member do at present.
func (g *Group) Refused() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]string, 0, len(g.refused))
	for p, r := range g.refused {
		switch {
		case p == commits:
			list = append(list, fmt.Sprintf("commit of group %s: %v", g.o.Group, r.err))
		case p.topic == "":
			list = append(list, fmt.Sprintf("group %s: %v", g.o.Group, r.err))
		default:
			list = append(list, fmt.Sprintf("%s/%d: %v", p.topic, p.num, r.err))
		}
	}
	slices.Sort(list)
	return list
}

// refuseCommit notes a commit that lacks a permission. Others pass by themselves with the next.
func (g *Group) refuseCommit(client *kgo.Client, err error) {
	if !errors.Is(err, kerr.GroupAuthorizationFailed) && !errors.Is(err, kerr.TopicAuthorizationFailed) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse(client, commits, err, time.Now())
}

// onFetchError sees what a poll returned besides records: an alarm that halts the partition, or a refusal.
func (g *Group) onFetchError(client *kgo.Client, topic string, num int32, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	g.metrics.fetchErrors.Inc()
	p := partition{topic, num}
	if topic == "" || num < 0 {
		p = partition{topic, wholeGroup.num}
	}
	g.mu.Lock()
	known, halt, log := g.halted[p] != nil, halts(err), false
	if !halt && !known {
		log, halt = g.refuse(client, p, err, time.Now())
	}
	if halt {
		g.halted[p] = err
		// The client goes on after some of these, from another offset, and repeats others with each fetch.
		client.PauseFetchPartitions(map[string][]int32{topic: {num}})
	}
	g.mu.Unlock()
	switch {
	case halt && !known:
		g.o.Log.Error("partition_halted", "group", g.o.Group, "topic", topic, "partition", num, "err", err,
			"hint", "records may have been deleted or damaged before they were relayed; inspect the topic, set the group's offset by hand, then restart")
	case log:
		g.o.Log.Warn("fetch_failed", "group", g.o.Group, "topic", topic, "partition", num, "err", err,
			"hint", "it is asked for again; a permission that is missing is Read on the topic and the group, and Describe")
	}
}
