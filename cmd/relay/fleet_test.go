package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/time/rate"

	"eventrelay/relay"
)

// TestMain lets the test binary be the relay: the tests that kill it start themselves as a process of its own.
func TestMain(m *testing.M) {
	if args := os.Getenv("TEST_RUN_RELAY"); args != "" {
		os.Args = append(os.Args[:1], strings.Split(args, "\n")...)
		prepareProcess()
		main()
	}
	os.Exit(m.Run())
}

// fleet is Kafka, Redis and relay processes of a test. RELAY_TEST_KAFKA and RELAY_TEST_REDIS put real services in the
// place of the embedded ones; every fleet has topics, groups and Redis keys of its own there.
type fleet struct {
	kafka  []kgo.Opt
	client *kgo.Client
	admin  *kadm.Client
	seeds  string
	redis  *redis.Client
	// redisAddr is where relays are told to find Redis, when not where the test does.
	redisAddr string
	cache     *miniredis.Miniredis // nil with a real Redis
	topics    relay.Topics
	domains   []string // topics, one for each domain
	group     string
	timeout   time.Duration // of the webhooks that register makes
	env       []string      // of the processes that start makes, see prepareProcess
	logs      lockedBuffer
}

var domainNames = []string{"debt", "payment", "claim", "policy", "sms"}

// domainPartitions of each domain topic.
const domainPartitions = 4

// newFleet starts the services, or uses the real ones, with all topics made.
func newFleet(t *testing.T, delays ...time.Duration) *fleet {
	t.Helper()
	if brokers := os.Getenv("RELAY_TEST_KAFKA"); brokers != "" {
		return newFleetOn(t, strings.Split(brokers, ","), "t"+strings.ToLower(rand.Text()[:8])+".", delays...)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return newFleetOn(t, cluster.ListenAddrs(), "", delays...)
}

// newFleetOn makes the topics on a broker that is there. space is in front of every name.
func newFleetOn(t *testing.T, brokers []string, space string, delays ...time.Duration) *fleet {
	t.Helper()
	f := &fleet{seeds: strings.Join(brokers, ","), kafka: []kgo.Opt{kgo.SeedBrokers(brokers...)}, group: space + "relay", timeout: time.Second,
		topics: relay.Topics{Prefix: space + "relay.", Delays: delays, Partitions: 4, Replication: 1, MaxEventBytes: 1 << 20}}
	client, err := kgo.NewClient(f.kafka...)
	require.NoError(t, err)
	f.client = client
	t.Cleanup(f.client.Close)
	f.admin = kadm.NewClient(f.client)
	specs := f.topics.Specs()
	for _, domain := range domainNames {
		f.domains = append(f.domains, space+domain)
		specs = append(specs, relay.TopicSpec{Name: space + domain, Partitions: domainPartitions})
	}
	_, err = relay.CreateTopics(t.Context(), f.admin, 1, specs)
	require.NoError(t, err)
	// A busy broker acknowledges topics before it answers with them, and a relay refuses to start without them.
	require.Eventually(t, func() bool {
		states, err := relay.DescribeTopics(t.Context(), f.client, specs)
		return err == nil && !slices.ContainsFunc(relay.PlanTopics(specs, states), func(c relay.TopicChange) bool { return c.Action == relay.TopicCreate })
	}, 30*time.Second, 50*time.Millisecond)

	addr := os.Getenv("RELAY_TEST_REDIS")
	if addr == "" {
		f.cache = miniredis.RunT(t)
		addr = f.cache.Addr()
		letTimePass(t, f.cache)
	}
	f.redis = redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = f.redis.Close() })
	return f
}

// letTimePass makes keys expire, which the embedded Redis leaves to whoever runs it: without it the locks of a killed
// relay hold for ever.
func letTimePass(t *testing.T, cache *miniredis.Miniredis) {
	t.Helper()
	const step = 100 * time.Millisecond
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(step)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case now := <-tick.C:
				cache.FastForward(now.Sub(last))
				last = now
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

// relayProcess is one relay under test.
type relayProcess struct {
	cmd  *exec.Cmd
	api  api
	ops  string
	done chan error
}

func (f *fleet) start(t *testing.T, instance string, extra ...string) *relayProcess {
	t.Helper()
	adminAddr, opsAddr := freeAddr(t), freeAddr(t)
	delays := make([]string, len(f.topics.Delays))
	for i, d := range f.topics.Delays {
		delays[i] = d.String()
	}
	domains := make([]string, len(f.domains))
	for i, topic := range f.domains {
		domains[i] = topic + "=" + domainNames[i]
	}
	redisAddr := f.redisAddr
	if redisAddr == "" {
		redisAddr = f.redis.Options().Addr
	}
	args := append([]string{"serve", "--kafka", f.seeds, "--redis", redisAddr, "--instance-id", instance,
		"--group", f.group, "--topic-prefix", f.topics.Prefix, "--domain-topics", strings.Join(domains, ","),
		"--admin-addr", adminAddr, "--ops-addr", opsAddr, "--from", "earliest", "--retry-delays", strings.Join(delays, ","),
		"--topic-partitions", fmt.Sprint(f.topics.Partitions), "--event-max-bytes", "1MiB", "--allow-http", "--allow-networks", "127.0.0.0/8", "--log-level", "warn"}, extra...)
	cmd := exec.Command(os.Args[0]) //nolint:gosec // the test binary itself
	cmd.Env = append(append(ownEnv(), f.env...), "TEST_RUN_RELAY="+strings.Join(args, "\n"), "RELAY_ADMIN_KEY=test-admin-key-0123456789")
	if !slices.Contains(extra, "--master-key-file") {
		cmd.Env = append(cmd.Env, "RELAY_MASTER_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	}
	cmd.Env = append(cmd.Env, f.env...)
	cmd.Stdout, cmd.Stderr = &f.logs, &f.logs
	require.NoError(t, cmd.Start())
	p := &relayProcess{cmd: cmd, api: api{"http://" + adminAddr, "test-admin-key-0123456789"}, ops: "http://" + opsAddr, done: make(chan error, 1)}
	go func() { p.done <- cmd.Wait() }()
	t.Cleanup(func() { p.kill() })
	return p
}

// ownEnv is the environment without the variables that steer tests, which the relay would refuse as unknown.
func ownEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "RELAY_") })
}

// kill ends the process at once, as a crash would.
func (p *relayProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
	p.done <- nil
}

// stop asks the process to end in order and waits for it.
func (p *relayProcess) stop(t *testing.T, f *fleet) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-p.done:
		p.done <- nil
		require.NoError(t, err, "%s", &f.logs)
	case <-time.After(45 * time.Second):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // says where every goroutine is
		err := <-p.done
		p.done <- err
		t.Fatalf("did not stop:\n%s", f.logs.tail(200_000))
	}
}

func (p *relayProcess) awaitReady(t *testing.T, f *fleet) {
	t.Helper()
	require.Eventually(t, func() bool {
		resp, err := http.Get(p.ops + "/readyz")
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		return resp.StatusCode == http.StatusOK
	}, 30*time.Second, 50*time.Millisecond, "relay never became ready:\n%s", &f.logs)
}

// nextPort is where freeAddr looks next. It begins at a place that another run of these tests is unlikely to be at.
var nextPort atomic.Uint32

func init() { nextPort.Store(uint32(os.Getpid()*97) % ports) }

// Below what the kernel hands out for connections and for port 0 (32768 to 60999 by default), so that nobody else takes
// an address between its choice and the start of the process that it is for.
const firstPort, ports = 12000, 20000

// freeAddr is an address on loopback that nobody listens on, another one with each call.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range ports {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%ports)
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string { return l.tail(8000) }

// tail is the end of it, at most n bytes.
func (l *lockedBuffer) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.b.String()
	return text[max(0, len(text)-n):]
}

// load is events of several types over all domain topics, and the webhooks that want them.
type load struct {
	f       *fleet
	o       *oracle
	names   map[string]string // uid → webhook
	wanting [][]string        // by type
	sent    atomic.Int64
}

// register makes n webhooks, each for one of the types and in one of the formats, with retries of a second.
func (f *fleet) register(t *testing.T, a api, o *oracle, receiver string, n, types int) *load {
	t.Helper()
	l := &load{f: f, o: o, names: map[string]string{}, wanting: make([][]string, types)}
	formats := []string{"standard", "cloudevents", "cloudevents-binary", "raw"}
	for i := range n {
		id := fmt.Sprintf("hook-%03d", i)
		var created struct {
			UID     string `json:"uid"`
			Signing struct {
				Secrets []struct {
					Value string `json:"value"`
				} `json:"secrets"`
			} `json:"signing"`
		}
		_, err := a.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{
			"id": id, "url": receiver + "/hook/" + id, "events": []string{fmt.Sprintf("load.type%d", i%types)},
			"format": formats[i%len(formats)], "delivery": map[string]any{"timeout": f.timeout.String()},
			"retry": map[string]any{"schedule": []string{"1s", "1s", "1s", "1s", "1s", "1s"}},
		}, &created)
		require.NoError(t, err, "%s", &f.logs)
		l.names[created.UID] = id
		verifier, err := standardwebhooks.NewWebhook(created.Signing.Secrets[0].Value)
		require.NoError(t, err)
		o.mu.Lock()
		o.verifiers[id] = verifier
		o.mu.Unlock()
		l.wanting[i%types] = append(l.wanting[i%types], id)
	}
	return l
}

func eventID(i int) string { return fmt.Sprintf("evt-%05d", i) }

// publishRate is how many events a second a load publishes: what the relay under test takes on two cores that it
// shares with broker and receivers.
const publishRate = 2500

// publish sends events from..to and owes them to the webhooks that want them.
func (l *load) publish(from, to int) {
	pace := rate.NewLimiter(publishRate, publishRate/50)
	for i := from; i < to; i++ {
		_ = pace.Wait(context.Background())
		id, kind := eventID(i), i%len(l.wanting)
		for _, webhook := range l.wanting[kind] {
			l.o.owe(id, webhook)
		}
		l.f.client.Produce(context.Background(), &kgo.Record{
			Topic: l.f.domains[i%len(l.f.domains)], Key: []byte(id), Value: []byte(fmt.Sprintf(`{"n": %d, "amount": 12.50}`, i)),
			Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte(id)}, {Key: "ce_source", Value: []byte("/load")},
				{Key: "ce_type", Value: []byte(fmt.Sprintf("load.type%d", kind))}, {Key: "ce_specversion", Value: []byte("1.0")}},
		}, func(_ *kgo.Record, err error) {
			if err == nil {
				l.sent.Add(1)
			}
		})
	}
}

// settleTimeout is far above what is needed: under the race detector, with everything on two cores, a tenth of the
// speed is left, and a breaker may have opened for 10 s.
const settleTimeout = 4 * time.Minute

func (l *load) delivered() int { n, _ := l.o.progress(); return n }

// awaitDelivered waits until n pairs were delivered.
func (l *load) awaitDelivered(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return l.delivered() >= n }, time.Minute, 5*time.Millisecond, "stuck at %d of %d:\n%s", l.delivered(), n, &l.f.logs)
}

// settle waits until everything is committed, on the domain topics and on the retry wheel, then judges.
func (l *load) settle(t *testing.T, events int) verdict {
	t.Helper()
	require.NoError(t, l.f.client.Flush(t.Context()))
	require.EqualValues(t, events, l.sent.Load())
	var domain, waiting int64
	settled := func() bool {
		var err error
		if domain, err = lag(t.Context(), l.f.admin, l.f.group, l.f.domains...); err != nil || domain != 0 {
			return false
		}
		waiting, err = lag(t.Context(), l.f.admin, l.f.group+"-retry", l.f.topics.RetryAll()...)
		return err == nil && waiting == 0
	}
	if !assert.Eventually(t, settled, settleTimeout, 100*time.Millisecond) {
		t.Fatalf("not settled: %d uncommitted events, %d on the retry wheel, %d delivered:\n%s", domain, waiting, l.delivered(), &l.f.logs)
	}
	return l.o.judge(t, readDiverted(t, l.f.kafka, l.f.topics.Diverted(), l.names))
}
