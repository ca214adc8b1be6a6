//go:build faults

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// soakLength is how long faults go on by default; RELAY_TEST_SOAK=4h is for nights.
const soakLength = 2 * time.Minute

const (
	soakRelays   = 3
	soakWebhooks = 24
	soakTypes    = 8
	soakRate     = 60 // events a second, so that a relay that has stood still catches up between two faults
	soakPause    = 3 * time.Second
)

// step is one fault of a schedule.
type step struct {
	after time.Duration // since the end of the one before it
	fault string
	who   int           // which relay
	lasts time.Duration // of what has an end
	pick  int           // among the variants of the fault
}

func (s step) String() string {
	return fmt.Sprintf("%s %s %d for %s", s.after.Round(time.Millisecond), s.fault, s.who, s.lasts.Round(time.Millisecond))
}

// faults of a soak. Each leaves everything as it was when it is over.
const (
	faultKill      = "kill -9 relay"
	faultStill     = "stop relay"
	faultRestart   = "restart relay"
	faultFlush     = "empty Redis"
	faultHang      = "hang receivers"
	faultBroker    = "broker"
	faultSuspend   = "suspend and unsuspend"
	faultAllAtOnce = "kill -9 every relay"
)

// schedule is a function of the seed alone: what happened is repeated with it, as far as a machine repeats itself.
func schedule(seed uint64, length time.Duration) []step {
	rng := rand.New(rand.NewPCG(seed, 1))
	kinds := []string{faultKill, faultKill, faultStill, faultRestart, faultFlush, faultHang, faultBroker, faultSuspend, faultAllAtOnce}
	var steps []step
	for at := time.Duration(0); at < length; {
		s := step{after: soakPause/2 + rand64(rng, soakPause), fault: kinds[rng.IntN(len(kinds))], who: rng.IntN(soakRelays),
			lasts: time.Second + rand64(rng, 7*time.Second), pick: rng.IntN(1000)}
		at += s.after + s.lasts
		steps = append(steps, s)
	}
	return steps
}

func rand64(rng *rand.Rand, below time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(below)))
}

// TestSchedule: the seed decides.
func TestSchedule(t *testing.T) {
	require.Equal(t, schedule(7, time.Hour), schedule(7, time.Hour))
	require.NotEqual(t, schedule(7, time.Hour), schedule(8, time.Hour))
}

// soak is a run of it.
type soak struct {
	t       *testing.T
	f       *fleet
	o       *oracle
	l       *load
	cluster *kfake.Cluster // nil on a real broker
	relays  []*relayProcess
	uids    []string
}

// TestSoak runs three relays through faults that the seed chooses, under load all the time, and accounts for everything
// at the end: nothing lost, no ghosts, no more duplicates than the faults explain where the broker itself did not fail,
// no commit that was not safe, and full recovery without a restart.
//
//	RELAY_TEST_SOAK=4h RELAY_TEST_SEED=17 go test -tags faults -timeout 5h -run TestSoak ./cmd/relay
func TestSoak(t *testing.T) {
	length := soakLength
	if text := os.Getenv("RELAY_TEST_SOAK"); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		require.NoError(t, err, "RELAY_TEST_SOAK")
	}
	s := &soak{t: t, o: newOracle()}
	s.f, s.cluster = newAuditedFleet(t, time.Second, 5*time.Second)
	s.f.timeout = 3 * time.Second
	receiver := s.o.receiver(t, behaviour{fail: 0.05, hang: 0.001, hangs: 5 * time.Second})
	for i := range soakRelays {
		s.relays = append(s.relays, s.start(i))
	}
	for _, p := range s.relays {
		p.awaitReady(t, s.f)
	}
	s.l = s.f.register(t, s.relays[0].api, s.o, receiver.URL, soakWebhooks, soakTypes)
	for uid := range s.l.names {
		s.uids = append(s.uids, uid)
	}
	a := audit(t, s.f, s.cluster, s.l)
	s.l.publish(0, soakWebhooks)
	s.l.awaitDelivered(t, soakWebhooks*soakWebhooks/soakTypes)
	idle := s.relays[1].idleGoroutines(t)

	steps := schedule(testSeed, length)
	stop := make(chan struct{})
	sent := soakWebhooks
	var publishing sync.WaitGroup
	publishing.Go(func() {
		tick := time.NewTicker(time.Second / 4)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				s.l.publish(sent, sent+soakRate/4)
				sent += soakRate / 4
			}
		}
	})
	began := time.Now()
	for i, step := range steps {
		wait(t, step.after)
		t.Logf("%8s step %d of %d: %s", time.Since(began).Round(time.Millisecond), i+1, len(steps), step)
		s.carryOut(step)
		if time.Since(began) > length {
			break
		}
	}
	close(stop)
	publishing.Wait()
	s.l.recovered(t, sent, sent+200, idle, s.relays...)
	v := s.l.settle(t, sent+200)
	a.verdict(t)
	t.Logf("seed %d, %d steps in %s: %d events, %d pairs: %d delivered, %d diverted, %d attempts, %d duplicates (%d allowed, %d beyond)", testSeed, len(steps),
		time.Since(began).Round(time.Second), sent+200, v.owed, v.delivered, v.diverted, v.attempts, v.duplicates, v.entitled, v.beyond)
}

func (s *soak) start(i int) *relayProcess {
	s.t.Helper()
	return s.f.start(s.t, fmt.Sprintf("r%d", i), "--session-timeout", "6s", "--drain-timeout", "5s")
}

func (s *soak) carryOut(step step) {
	s.t.Helper()
	p := s.relays[step.who]
	switch step.fault {
	case faultKill:
		p.kill()
		s.l.crashed(s.t)
		wait(s.t, step.lasts%(2*time.Second)) // quicker than its session, or slower
		s.relays[step.who] = s.start(step.who)
	case faultAllAtOnce:
		for _, p := range s.relays {
			p.kill()
		}
		s.l.crashed(s.t)
		for i := range s.relays {
			s.relays[i] = s.start(i)
		}
	case faultStill: // up to longer than its session
		require.NoError(s.t, p.cmd.Process.Signal(syscall.SIGSTOP))
		wait(s.t, step.lasts)
		s.l.crashed(s.t)
		require.NoError(s.t, p.cmd.Process.Signal(syscall.SIGCONT))
	case faultRestart:
		p.exit(s.t, s.f)
		s.relays[step.who] = s.start(step.who)
	case faultFlush:
		require.NoError(s.t, s.f.redis.FlushAll(s.t.Context()).Err())
	case faultHang:
		resume := s.o.hang()
		wait(s.t, step.lasts)
		resume()
	case faultSuspend:
		s.suspended(s.uids[step.pick%len(s.uids)], step.lasts)
	case faultBroker:
		s.broker(step)
	}
}

// suspended suspends a webhook for a while and has what came meanwhile sent on.
func (s *soak) suspended(uid string, lasts time.Duration) {
	s.t.Helper()
	ask := func(what string) {
		require.Eventually(s.t, func() bool {
			for _, p := range s.relays {
				if _, err := p.api.call(s.t.Context(), http.MethodPost, "/v1/webhooks/"+uid+"/"+what, nil, nil); err == nil {
					return true
				}
			}
			return false
		}, time.Minute, 100*time.Millisecond, "%s:\n%s", what, &s.f.logs)
	}
	ask("suspend")
	wait(s.t, lasts)
	ask("unsuspend")
}

// broker fails: the embedded one answers errors for a while, the real one is killed and started again.
func (s *soak) broker(step step) {
	s.t.Helper()
	if s.cluster == nil {
		restartBroker(s.t)
		s.l.crashed(s.t)
		return
	}
	variants := []kfake.Fault{
		{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: s.f.group, Err: kerr.CoordinatorNotAvailable},
		{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: s.f.group, TopLevel: true, Err: kerr.UnknownMemberID},
		{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: s.f.group, TopLevel: true, Err: kerr.CoordinatorLoadInProgress},
		{Keys: []kmsg.Key{kmsg.Produce}, Topic: s.f.topics.Retry(s.f.topics.Delays[0]), Err: kerr.NotEnoughReplicas},
		{Keys: []kmsg.Key{kmsg.Produce}, Topic: s.f.topics.Retry(s.f.topics.Delays[0]), Err: kerr.PolicyViolation},
		{Keys: []kmsg.Key{kmsg.Produce}, Topic: s.f.topics.Diverted(), Err: kerr.NotLeaderForPartition},
	}
	fault := variants[step.pick%len(variants)]
	fault.Count = -1
	s.t.Logf("         the broker answers %s to requests of kind %d", fault.Err.Message, fault.Keys[0])
	s.l.crashed(s.t) // members that are thrown out read again what they had
	failing := s.cluster.Fault(fault)
	wait(s.t, step.lasts)
	failing.Remove()
	s.l.crashed(s.t)
}

// wait lets time pass, which is part of the schedule.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
