package jobs

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

// Options of a Store. Kafka, Topics and Log are required.
type Options struct {
	Kafka  []kgo.Opt
	Topics relay.Topics
	Log    *slog.Logger
	// Registerer of the metrics; nil keeps them unregistered.
	Registerer prometheus.Registerer
	// Wait is how long a read waits until everything written before it is known. Default 2 s.
	Wait time.Duration
}

// Store knows the jobs and writes them. All methods may be called concurrently.
type Store struct {
	o          Options
	log        *slog.Logger
	topic      string
	client     *kgo.Client // writes definitions and cancellations; the tail and terms have clients of their own
	admin      *kadm.Client
	board      *board
	badRecords prometheus.Counter
	barrier    chan struct{} // one token: who has it may write a barrier
}

const (
	defaultWait = 2 * time.Second
	// tailPause is the wait after Kafka failed.
	tailPause    = 250 * time.Millisecond
	failLogEvery = 10 * time.Second
)

// New makes a Store. It does not connect; Close releases it.
func New(o Options) (*Store, error) {
	switch {
	case len(o.Kafka) == 0:
		return nil, errors.New("jobs: option Kafka is missing")
	case o.Log == nil:
		return nil, errors.New("jobs: option Log is missing")
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	client, err := kgo.NewClient(o.Kafka...)
	if err != nil {
		return nil, fmt.Errorf("jobs: kafka client: %w", err)
	}
	s := &Store{
		o: o, log: o.Log.With("component", "jobs"), topic: o.Topics.Jobs(), client: client, admin: kadm.NewClient(client), board: newBoard(),
		badRecords: prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_jobs_bad_records_total", Help: "Records of the jobs topic that could not be read."}),
		barrier:    make(chan struct{}, 1),
	}
	s.barrier <- struct{}{}
	if err := s.register(o.Registerer); err != nil {
		client.Close()
		return nil, fmt.Errorf("jobs: metrics: %w", err)
	}
	return s, nil
}

func (s *Store) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "relay_jobs_open", Help: "Jobs that are not finished."},
		func() float64 { return float64(len(s.board.open())) })
	for _, c := range []prometheus.Collector{s.badRecords, open} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Close releases the Store. Call it after Run has returned.
func (s *Store) Close() { s.client.Close() }

// Run reads the topic, from its beginning and on, until ctx ends; until it has, nothing is known. It returns nil: what
// fails meanwhile is logged and tried again.
func (s *Store) Run(ctx context.Context) error {
	var logged time.Time
	for ctx.Err() == nil {
		s.board.reset()
		err := s.tail(ctx)
		if ctx.Err() == nil && time.Since(logged) > failLogEvery {
			logged = time.Now()
			s.log.Error("jobs_tail_failed", "err", err, "hint", "jobs can neither be read nor carried out until Kafka answers; nothing is lost")
		}
		pause(ctx, tailPause)
	}
	return nil
}

// tail applies the topic from its first record on until ctx ends or the position means nothing any more.
func (s *Store) tail(ctx context.Context) error {
	starts, err := s.admin.ListStartOffsets(ctx, s.topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("start of topic %s: %w", s.topic, err)
	}
	start, ok := starts.Lookup(s.topic, 0)
	if !ok {
		return fmt.Errorf("topic %s is not there, run relay topics apply: %w", s.topic, kerr.UnknownTopicOrPartition)
	}
	// Markers of transactions are offsets too: without them the position would never reach the end.
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, s.o.Kafka...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: {0: kgo.NewOffset().At(start.Offset)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.KeepControlRecords(), kgo.FetchMaxWait(500*time.Millisecond))...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	s.board.apply(nil, start.Offset)
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.take(fetches.Records())
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", s.topic, err)
		}
	}
}

func (s *Store) take(recs []*kgo.Record) {
	if len(recs) == 0 {
		return
	}
	changes := make([]change, 0, len(recs))
	for _, rec := range recs {
		if rec.Attrs.IsControl() {
			continue
		}
		c, err := decode(rec)
		if err != nil {
			s.badRecords.Inc()
			s.log.Error("job_record_unreadable", "offset", rec.Offset, "err", err)
			continue
		}
		if c.part != partNone {
			changes = append(changes, c)
		}
	}
	s.board.apply(changes, recs[len(recs)-1].Offset+1)
}

// Create writes a new job and returns when it is durable and known here. A job of that id that exists is returned as
// it is; compare the fingerprints. ErrTooMany, ErrBehind.
func (s *Store) Create(ctx context.Context, d Definition) (Job, error) {
	if err := s.awaitEnd(ctx); err != nil {
		return Job{}, err
	}
	if j, ok := s.board.get(d.ID); ok {
		return j, nil
	}
	if s.board.openOf(d.Tenant) >= maxOpen {
		return Job{}, fmt.Errorf("job for tenant %s: %w", d.Tenant, ErrTooMany)
	}
	if err := s.write(ctx, definitionRecord(s.topic, d)); err != nil {
		return Job{}, fmt.Errorf("create job %s: %w", d.ID, err)
	}
	j, _ := s.board.get(d.ID)
	return j, nil
}

// Cancel asks for the end of a job; the runner ends it. A finished job stays as it is. ErrNotFound, ErrBehind.
func (s *Store) Cancel(ctx context.Context, tenant, id string) (Job, error) {
	j, err := s.Get(ctx, tenant, id)
	if err != nil || j.State().Final() || !j.CancelRequested.IsZero() {
		return j, err
	}
	if err := s.write(ctx, cancelRequest(s.topic, id, time.Now())); err != nil {
		return Job{}, fmt.Errorf("cancel job %s: %w", id, err)
	}
	return s.Get(ctx, tenant, id)
}

// Get returns a job. ErrNotFound, ErrBehind.
func (s *Store) Get(ctx context.Context, tenant, id string) (Job, error) {
	if err := s.awaitEnd(ctx); err != nil {
		return Job{}, err
	}
	j, ok := s.board.get(id)
	if !ok || j.Tenant != tenant {
		return Job{}, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	return j, nil
}

// Query selects from the jobs of a tenant; empty filters do not apply.
type Query struct {
	Tenant string
	Kind   Kind
	State  State
	UID    string
	Cursor string // Page.Next of the page before
	Limit  int    // default 50, at most 500
}

// Page is a part of a list, the newest first.
type Page struct {
	Items []Job
	Next  string // empty at the end
}

const defaultPage, maxPage = 50, 500

// List returns a page. Each job appears once, whatever is created or forgotten between two pages. ErrBehind, ErrBadCursor.
func (s *Store) List(ctx context.Context, q Query) (Page, error) {
	after, err := parseCursor(q.Cursor)
	if err != nil {
		return Page{}, err
	}
	if err := s.awaitEnd(ctx); err != nil {
		return Page{}, err
	}
	if q.Limit <= 0 {
		q.Limit = defaultPage
	}
	items, more := s.board.list(q.Tenant, after, min(q.Limit, maxPage), func(j *Job) bool {
		return (q.Kind == "" || j.Kind == q.Kind) && (q.State == "" || j.State() == q.State) && (q.UID == "" || j.Selection.UID == q.UID)
	})
	page := Page{Items: items}
	if more {
		page.Next = cursorOf(items[len(items)-1])
	}
	return page, nil
}

// A cursor is the place of the last job of a page: when it was created, and its id.
func cursorOf(j Job) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(j.Created.UnixNano(), 10) + "/" + j.ID))
}

func parseCursor(text string) (*Job, error) {
	if text == "" {
		return nil, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	number, id, ok := strings.Cut(string(decoded), "/")
	at, err2 := strconv.ParseInt(number, 10, 64)
	if err != nil || err2 != nil || !ok || !idGrammar.MatchString(id) {
		return nil, ErrBadCursor
	}
	return &Job{Definition: Definition{ID: id, Created: time.Unix(0, at)}}, nil
}

// write produces a record and waits until the tail has it.
func (s *Store) write(ctx context.Context, rec *kgo.Record) error {
	if err := s.client.ProduceSync(ctx, rec).FirstErr(); err != nil {
		return fmt.Errorf("write to %s: %w", s.topic, err)
	}
	return s.awaitApplied(ctx, rec.Offset+1)
}

// awaitEnd asks Kafka for the end of the topic and waits until everything below is applied.
//
// The end may be an offset at which no record stands, because compaction took the last ones: the tail sees records, not
// positions, and would never report it reached. So a read that waits in vain for a while writes a barrier.
func (s *Store) awaitEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.Wait, fmt.Errorf("waited %v for the list of jobs", s.o.Wait))
	defer cancel()
	ends, err := s.admin.ListEndOffsets(ctx, s.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("%w: end of topic %s: %w", ErrBehind, s.topic, err)
	}
	end, ok := ends.Lookup(s.topic, 0)
	if !ok {
		return fmt.Errorf("%w: topic %s is not there, run relay topics apply", ErrBehind, s.topic)
	}
	patient, stop := context.WithTimeout(ctx, s.o.Wait/4)
	err = s.awaitApplied(patient, end.Offset)
	stop()
	if err == nil || ctx.Err() != nil {
		return err
	}
	select {
	case <-s.barrier:
		rec := &kgo.Record{Topic: s.topic, Key: []byte(barrierKey), Value: []byte{}}
		err := s.client.ProduceSync(ctx, rec).FirstErr()
		s.barrier <- struct{}{}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBehind, err)
		}
	default: // somebody else's will do
	}
	return s.awaitApplied(ctx, end.Offset)
}

func (s *Store) awaitApplied(ctx context.Context, offset int64) error {
	for {
		covered, changed := s.board.position()
		if covered >= offset {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: known up to %d of %d: %w", ErrBehind, covered, offset, context.Cause(ctx))
		}
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
