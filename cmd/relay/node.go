package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"eventrelay/admin"
	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/announce"
	audittrail "eventrelay/relay/audit"
	"eventrelay/relay/deliver"
	"eventrelay/relay/deliver/advice"
	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
	"eventrelay/relay/history"
	"eventrelay/relay/intake"
	"eventrelay/relay/intake/envelope"
	"eventrelay/relay/jobs"
	"eventrelay/relay/match"
	"eventrelay/relay/registry"
	"eventrelay/relay/retry"
)

// node is one relay process, as its configuration describes it. Both `relay serve` and `relay dev` run one.
type node struct {
	Kafka    []kgo.Opt
	Redis    redis.UniversalClient
	Topics   relay.Topics
	Keys     *registry.Keyring
	KeyFile  string // where Keys came from; empty: they do not change while the node runs
	AdminKey catalog.Secret
	Egress   catalog.Egress
	Group    string
	Instance string // static membership; empty: dynamic
	Session  time.Duration
	Domains  map[string]string // topic → domain
	From     intake.From
	Memory   int64         // bytes that the process may use
	Limits   intake.Limits // of the window, where the operator set them
	Drain    time.Duration
	// DivertRetention is how long a diverted event is kept.
	DivertRetention time.Duration
	Breaker         breaker.Settings
	FreshFor        time.Duration // how long a confirmation of the subscriptions counts; 0: the registry's default
	Relay           bool          // roles
	Admin           bool
	AdminAddr       string
	Proxies         []netip.Prefix // of the admin API, trusted to name the client's address
	OpsAddr         string
	Log             *slog.Logger

	// What `relay dev` shows.
	OnReport  func(deliver.Report)
	OnBreaker func(endpoint string, c breaker.Change)
	OnReady   func(adminAddr string)
}

// stopTimeout bounds the second phase of a stop: everything after the drain.
const stopTimeout = 10 * time.Second

// run starts the node and blocks until ctx ends and it has stopped: intake first, then what is under way, then the
// writers, then what everybody reads from. It reads top-down as the way of an event does.
func (n node) run(ctx context.Context) error {
	logRedis(n.Log)
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	memory, err := divideMemory(n.Memory, int64(n.Topics.MaxEventBytes), n.Limits)
	if err != nil {
		return fmt.Errorf("--memory %w", err)
	}
	memory.register(metrics)
	limits, retryLimits := memory.limits(n.Limits)

	// What everybody reads from lives until the very end.
	base, stopBase := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopBase(nil)
	var background errgroup.Group

	producer, err := kgo.NewClient(append(append([]kgo.Opt{}, n.Kafka...),
		kgo.ProducerBatchMaxBytes(int32(n.Topics.MaxEventBytes+relay.EnvelopeBytes)),
		kgo.MaxBufferedBytes(memory.journalBytes(n.Topics.MaxEventBytes)),
		kgo.ProducerLinger(0))...)
	if err != nil {
		return fmt.Errorf("producer: %w", err)
	}
	defer producer.Close()
	journal := relay.NewJournal(producer, n.Log)
	// Attempt records have a producer of their own, which gathers them: nobody waits for one, and at low rates a request
	// for each would cost more than the delivery.
	attempts, err := kgo.NewClient(append(append([]kgo.Opt{}, n.Kafka...), kgo.ProducerLinger(attemptLinger), kgo.MaxBufferedBytes(memory.attemptLogBytes()))...)
	if err != nil {
		return fmt.Errorf("producer of attempt records: %w", err)
	}
	defer attempts.Close()

	hooks, err := registry.New(registry.Options{Kafka: n.Kafka, Topics: n.Topics, Redis: n.Redis, RedisPrefix: n.redisPrefix(), Keys: n.Keys, FreshFor: n.FreshFor, Rewrap: n.Admin, Log: n.Log, Registerer: metrics,
		Announce: func(w *catalog.Webhook, s *catalog.Suspension, applied int64) *kgo.Record {
			return announce.Suspension(n.Topics.Events(), w, s, applied)
		}})
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	index := match.NewIndex()
	hooks.OnChange(func(c registry.Change) { n.indexChange(index, c) })

	window := intake.NewWindow(limits)
	retryWindow := intake.NewWindow(retryLimits)
	rejecter := intake.NewRejecter(journal, n.Topics.Rejected(), n.Topics.MaxEventBytes, n.Log, metrics)
	wheel, err := retry.New(retry.Options{Topics: n.Topics, Journal: journal, Registry: hooks, Log: n.Log, Registerer: metrics,
		Group:  n.groupOptions("retry", n.Group+"-retry", retryWindow, memory, metrics),
		Reject: func(rec *kgo.Record, reason string, acked func()) { rejecter.Reject(rec, reason, "", acked) }})
	if err != nil {
		return err
	}
	bulk, err := jobs.New(jobs.Options{Kafka: n.Kafka, Topics: n.Topics, Log: n.Log, Registerer: metrics})
	if err != nil {
		return err
	}
	defer bulk.Close()
	announcer := announce.New(announce.Options{Producer: producer, Topic: n.Topics.Events(), Log: n.Log, Registerer: metrics})
	diverted, err := divert.New(divert.Options{Kafka: n.Kafka, Topics: n.Topics, Redis: n.Redis, RedisPrefix: n.redisPrefix(), Webhooks: hooks, Resend: wheel, Jobs: bulk,
		Retention: n.DivertRetention, OnExpired: announceExpired(hooks, announcer), Log: n.Log, Registerer: metrics})
	if err != nil {
		return fmt.Errorf("divert store: %w", err)
	}
	hooks.OnChange(func(c registry.Change) {
		if c.Suspension != nil && !c.Suspension.Active {
			diverted.Kick()
		}
	})
	client := outbound.New(outbound.Options{Policy: n.Egress, AllowInsecureTLS: n.Egress.AllowInsecureTLS, UserAgent: userAgent, Log: n.Log, Registerer: metrics})
	defer client.Close()
	recent := history.NewRecent(history.RecentOptions{Redis: n.Redis, RedisPrefix: n.redisPrefix(), Log: n.Log, Registerer: metrics})
	live := &instances{group: n.Group, admin: kadm.NewClient(producer)}
	board := advice.New(advice.Options{Redis: n.Redis, Prefix: n.redisPrefix(), Instance: n.Instance, Log: n.Log, Registerer: metrics})
	dispatcher := deliver.New(deliver.Options{
		Webhooks: deliveryView{hooks}, Pair: hooks.PrivateKey, Client: client, Retry: wheel, Divert: diverted,
		Attempts: deliver.NewAttemptLog(attempts, journal, n.Topics.Attempts(), metrics), Breaker: n.Breaker,
		Contended: window.Contended, Share: max(1, limits.Deliveries/endpointShare), Room: limits.Deliveries, Instances: live.count,
		Memory: deliver.Memory{Attempts: memory.Attempts, Bodies: memory.Bodies},
		Forced: forcedBreaker(hooks), SmallestDelay: n.Topics.Delays[0], OnReport: remember(recent, n.onReport(announcer)),
		OnBreaker: tellSiblings(board, n.onBreaker(announcer)), OnHold: board.Held, Log: n.Log, Registerer: metrics,
	})
	hooks.OnBreaker(func(endpoint string) { followBreaker(dispatcher, endpoint) })
	coalescer := announce.NewCoalescer(announce.CoalescerOptions{Dispatcher: dispatcher, Retry: wheel, Home: n.countsAlerts, Registerer: metrics})
	decoder, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: n.Topics.MaxEventBytes, Domains: n.sources()})
	if err != nil {
		return fmt.Errorf("envelopes: %w", err)
	}
	events, err := intake.NewIntake(intake.Options{
		Group: n.groupOptions("intake", n.Group, window, memory, metrics), Limits: limits, Decoder: decoder, Index: index,
		Registry: hooks, Dispatcher: dispatcher, Rejecter: rejecter, Alert: announce.SuspendedAlert, Log: n.Log, Registerer: metrics,
	}, window)
	if err != nil {
		return err
	}

	past := history.New(history.Options{Client: producer, Topics: n.Topics, Domains: n.Domains, Decode: decoder.Decode, Redis: n.Redis, RedisPrefix: n.redisPrefix()})

	trail, err := audittrail.NewLog(audittrail.Options{Client: producer, Topic: n.Topics.Audit(), Log: n.Log, Registerer: metrics})
	if err != nil {
		return err
	}

	// Health first, so that a start that waits says for what.
	health := &health{registry: hooks, journal: journal, diverted: diverted, relay: n.Relay, intake: events.Group(), retry: wheel.Group()}
	api := admin.New(admin.Options{Registry: hooks, Diverted: diverted, Breakers: board, Jobs: bulk, Attempts: past, Records: past, Tester: tester{dispatcher}, Rules: catalog.Rules{Egress: n.Egress, AuthTypes: deliver.AuthTypes()},
		Dialects: n.dialects(hooks, diverted, client), PublicKey: hooks.PublicKey, BootstrapKey: n.AdminKey, Audit: trail, TrustedProxies: n.Proxies, Registerer: metrics, Log: n.Log})
	ops, err := listen(n.OpsAddr, "--ops-addr", admin.OpsHandler(health.checks, metrics), n.Log)
	if err != nil {
		return err
	}
	defer ops.shutdown(n.Log)

	background.Go(func() error { return hooks.Run(base) })
	background.Go(func() error { return bulk.Run(base) })
	// giveUp ends writes that wait for room in a producer's buffer, which while Kafka is away may be for ever.
	giveUp := func() { journal.Abandon(); diverted.Abandon() }
	indexCtx, stopIndex := context.WithCancel(base)
	defer stopIndex()
	var indexing errgroup.Group
	var server *httpServer
	// stop is phase two, bounded: whatever is still under way then is read again at the next start. The sweeper of the
	// divert store may wait for the journal, so that is closed before the sweeper is waited for.
	stop := func(err error) error {
		n.Log.Info("relay_stopping")
		stopCtx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), stopTimeout, fmt.Errorf("stop took longer than %s", stopTimeout))
		defer cancel()
		defer context.AfterFunc(stopCtx, giveUp)()
		if server != nil {
			server.shutdown(n.Log) // before what its requests write through
		}
		err = errors.Join(err, dispatcher.Close(stopCtx))
		_ = attempts.Flush(stopCtx) // best effort, as they are
		stopIndex()
		err = errors.Join(err, journal.Close(stopCtx), indexing.Wait(), diverted.Close(stopCtx))
		stopBase(nil)
		return errors.Join(err, background.Wait())
	}

	// The gate: nothing is matched and nothing falls due before the subscriptions are complete.
	if err := hooks.WaitComplete(ctx); err != nil {
		return stop(ignoreStop(ctx, err))
	}
	indexing.Go(func() error { return diverted.RunIndex(indexCtx) })
	background.Go(func() error { dispatcher.Run(base); return nil })
	background.Go(func() error { coalescer.Run(base); return nil })
	background.Go(func() error { announcer.Run(base); return nil })
	background.Go(func() error { board.Run(base, dispatcher); return nil })
	background.Go(func() error { live.run(base); return nil })
	background.Go(func() error { recent.Run(base); return nil })
	watch := newRedisWatch(n.Redis, n.Log, metrics)
	background.Go(func() error { watch.run(base); return nil })

	if n.KeyFile != "" {
		background.Go(func() error { newKeyWatch(n.KeyFile, n.Keys, hooks.SetKeys, n.Log).run(base); return nil })
	}

	adminAddr := ""
	if n.Admin {
		if server, err = listen(n.AdminAddr, "--admin-addr", api.Handler(), n.Log); err != nil {
			return stop(err)
		}
		adminAddr = server.addr
	}

	front, frontCtx := errgroup.WithContext(ctx)
	if n.Relay {
		origin := intake.Origin{Group: n.Group, Topics: keys(n.sources()), From: n.From, JobsTopic: n.Topics.Jobs(), Kafka: n.Kafka, Log: n.Log}
		if err := origin.Decide(ctx, producer); err != nil {
			return stop(ignoreStop(ctx, err))
		}
		front.Go(func() error { return wheel.Run(frontCtx, coalescer) })
		front.Go(func() error { return events.Run(frontCtx) })
	}
	front.Go(func() error { <-frontCtx.Done(); return nil })
	n.Log.Info("relay_started", "admin_addr", adminAddr, "ops_addr", ops.addr, "relay", n.Relay, "admin", n.Admin, "webhooks", hooks.Count())
	health.started.Store(true)
	if n.OnReady != nil {
		n.OnReady(adminAddr)
	}
	return stop(await(frontCtx, front, n.Drain+stopTimeout, giveUp))
}

// await is phase one of a stop: intake stops, what is under way drains, offsets are committed. A worker that waits to
// write is released after patience: by then the drain is over, and what it writes settles nothing any more.
func await(ctx context.Context, front *errgroup.Group, patience time.Duration, giveUp func()) error {
	done := make(chan error, 1)
	go func() { done <- front.Wait() }()
	<-ctx.Done()
	defer time.AfterFunc(patience, giveUp).Stop()
	return <-done
}

const (
	// attemptLinger is how long an attempt record waits for others: a user who looks at the attempts that were just made
	// does not notice it.
	attemptLinger = 100 * time.Millisecond
	// endpointShare: while others wait, one endpoint may hold an eighth of the window.
	endpointShare = 8
	userAgent     = "eventrelay/1"
)

// redisPrefix keeps relays with topics of their own apart in one Redis: "relay:" for the topics "relay.…".
func (n node) redisPrefix() string { return strings.TrimRight(n.Topics.Prefix, ".-_") + ":" }

func (n node) groupOptions(name, group string, window *intake.Window, m memory, metrics prometheus.Registerer) intake.GroupOptions {
	return intake.GroupOptions{
		Name: name, Kafka: n.Kafka, Group: group, Topics: keys(n.sources()), InstanceID: n.Instance, SessionTimeout: n.Session,
		DrainTimeout: n.Drain, MaxRecordBytes: n.Topics.MaxEventBytes + relay.EnvelopeBytes, FetchBytes: m.fetchBytes(), Window: window, Log: n.Log, Registerer: metrics,
	}
}

// indexChange compiles a change of the registry into the matcher's index.
func (n node) indexChange(index *match.Index, c registry.Change) {
	if c.Webhook == nil {
		index.Remove(c.UID)
		return
	}
	if err := index.Put(c.Webhook, c.Offset+1); err != nil {
		n.Log.Error("webhook_not_compiled", "uid", c.UID, "err", err, "hint", "the former version stays in force; save the webhook again")
	}
}

// httpServer is a listening server.
type httpServer struct {
	addr string
	http *http.Server
	done chan struct{}
}

// listen serves on addr; flag names the setting in the error of a taken port.
func listen(addr, flag string, handler http.Handler, log *slog.Logger) (*httpServer, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w (choose another address with %s)", flag, addr, err, flag)
	}
	s := &httpServer{addr: listener.Addr().String(), http: admin.NewHTTPServer(handler, log), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(listener) // ends with ErrServerClosed at shutdown
	}()
	return s, nil
}

func (s *httpServer) shutdown(log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		log.Warn("http_shutdown", "addr", s.addr, "err", err)
		_ = s.http.Close()
	}
	<-s.done
}

// ignoreStop drops the error of a wait that ended because the process was asked to stop.
func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
