package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay/audit"
)

// writer makes all writes of this process, one at a time, so that every check is made against the state that the
// write then extends. Kafka has no compare-and-set; fencing takes its place:
//
//  1. become the writer: initialise the topic's transactional id. Kafka ends whatever transaction an earlier writer
//     has open and refuses everything that it sends from now on. A writer that has not been fenced stays the writer,
//     and many writes share one initialisation.
//  2. read to the end: ask for the end offset and wait until the snapshot is applied up to there.
//  3. decide: check revision, uniqueness and references against the snapshot, and build the records.
//  4. commit: produce them, and an entry of the audit trail for each, in a transaction and end it. If another process became the writer after step 2, the
//     produce is refused, nothing is committed, and all begins anew.
//  5. wait until the tail has applied the write, give the cache a moment to take it, and answer.
//
// So a transaction that commits was decided on everything committed before it, and two processes never both win.
//
// A crash before the commit leaves a transaction that nobody sees; the next initialisation, or its timeout, aborts
// it. A crash after the commit leaves a write whose caller got no answer. An error while committing says neither: the
// writer gives up its producer, initialises anew, which settles the transaction one way or the other, reads to the
// end, and looks whether the tail has seen the id that the write's records carry.
//
// A short lock in Redis keeps processes from fencing each other in turns. It is advice: without Redis, or with a lock
// that expired, writes still exclude each other, only with more attempts.
type writer struct {
	r    *Registry
	lock *lock

	// turn holds one token; who has taken it owns the fields below. Close takes it for good.
	turn   chan struct{}
	client *kgo.Client // nil: not the writer
	token  fencingToken

	life context.Context // ends with close
	end  context.CancelCauseFunc
}

// fencingToken is the producer's identity at initialisation or at the end of its latest transaction. A producer that
// has another one has been initialised behind the writer's back, so what was decided before counts no more.
type fencingToken struct {
	id    int64
	epoch int16
}

// ErrUncertain: the write was sent and its outcome could not be learned in time. Read before writing again.
var ErrUncertain = errors.New("it is uncertain whether the write was made")

var errFenced = errors.New("another process became the writer")

const (
	// transactionTimeout bounds how long the transaction of a crashed writer keeps later records invisible when no
	// other process writes. A transaction takes milliseconds.
	transactionTimeout = 15 * time.Second
	// Waits between attempts: random up to a bound that doubles from retryWaitMin to retryWaitMax.
	retryWaitMin = 20 * time.Millisecond
	retryWaitMax = time.Second
	// cacheWithin is how long a write waits for the cache: it is only a cache.
	cacheWithin = 250 * time.Millisecond
)

func newWriter(r *Registry) *writer {
	w := &writer{r: r, lock: newLock(r.opts.Redis, r.cache.keys.writeLock), turn: make(chan struct{}, 1)}
	w.turn <- struct{}{}
	// Writes end with their callers' contexts or with Run's, whichever is first; close cancels this one.
	w.life, w.end = context.WithCancelCause(context.Background())
	return w
}

// close ends writes under way and refuses later ones. It returns when the producer is closed.
func (w *writer) close() {
	w.end(ErrClosed)
	<-w.turn
	w.resign()
}

// draft is a record to be written: content is encoded, value is written as it stands; without either it is a
// tombstone.
type draft struct {
	key     recordKey
	content any
	value   []byte
	// announcement, when set, is written as it is in place of the above. The last draft of a write has none: it is the
	// one that the tail is waited for.
	announcement *kgo.Record
}

// write makes the records that decide asks for, or nothing when it asks for none. decide reads the snapshot and is
// called anew at each attempt; its error is returned as it is. When write returns nil the snapshot has the write.
func (w *writer) write(ctx context.Context, decide func() ([]draft, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, w.r.timing.writeWithin, fmt.Errorf("write to %s: %w", w.r.topic, errTimedOut))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(w.life, func() { stop(ErrClosed) })()

	select {
	case <-w.turn:
		defer func() { w.turn <- struct{}{} }()
	case <-ctx.Done():
		return fmt.Errorf("wait for the turn to write: %w", context.Cause(ctx))
	}
	if w.r.cache.healthy() {
		defer w.lock.acquire(ctx)()
	}
	result, err := w.attempts(ctx, decide)
	w.r.metrics.writes.WithLabelValues(result).Inc()
	if err == nil {
		w.awaitCache(ctx)
	}
	return err
}

// attempts repeats until the write is decided. result is the metric's label.
func (w *writer) attempts(ctx context.Context, decide func() ([]draft, error)) (result string, err error) {
	id := w.r.written.begin(w.r.instance)
	defer w.r.written.end(id)
	var uncertain bool
	for wait := retryWaitMin; ; wait = min(2*wait, retryWaitMax) {
		if err = w.become(ctx); err == nil {
			// The attempt before may have been committed although it ended with an error.
			if w.r.written.seen(id) {
				return resultCommitted, nil
			}
			uncertain = false
			drafts, refusal := decide()
			switch {
			case refusal != nil:
				return resultRefused, refusal
			case len(drafts) == 0:
				return resultUnchanged, nil
			}
			records, refusal := w.records(id, audit.FromContext(ctx), drafts)
			if refusal != nil {
				return resultRefused, refusal
			}
			if uncertain, err = w.commit(ctx, id, records); err == nil {
				return resultCommitted, nil
			}
		}
		w.resign()
		if retryable(err) && ctx.Err() == nil {
			w.r.metrics.writeRetries.Inc()
			if sleep(ctx, rand.N(wait)+1) {
				continue
			}
		}
		if uncertain {
			err = fmt.Errorf("%w: %w", ErrUncertain, err)
		}
		return resultFailed, err
	}
}

// become makes this process the writer, if it is not, and reads to the end.
func (w *writer) become(ctx context.Context) error {
	if w.client != nil {
		if err := w.r.Confirm(ctx); err != nil {
			return err
		}
		if !w.r.written.superseded(w.r.instance) {
			return nil
		}
		// Another process wrote, so this one is fenced: no need to try and be refused.
		w.resign()
	}
	client, err := kgo.NewClient(append(w.r.clientOptions(),
		kgo.TransactionalID(w.r.opts.Topics.Prefix+"registry"),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)...)
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	w.client = client
	if w.token, err = w.fencingToken(ctx); err != nil {
		return fmt.Errorf("become the writer of %s: %w", w.r.topic, err)
	}
	if err := w.r.Confirm(ctx); err != nil {
		return err
	}
	w.r.written.takeOver(w.r.instance)
	return nil
}

func (w *writer) fencingToken(ctx context.Context) (fencingToken, error) {
	id, epoch, err := w.client.ProducerID(ctx)
	return fencingToken{id: id, epoch: epoch}, err
}

// resign gives up the producer. The next attempt initialises anew, which settles what this one left open.
func (w *writer) resign() {
	if w.client != nil {
		w.client.Close()
		w.client = nil
	}
}

// records are those of the drafts, and behind them the audit entry of each that changes something.
func (w *writer) records(id string, call audit.Call, drafts []draft) ([]*kgo.Record, error) {
	records := make([]*kgo.Record, len(drafts), 2*len(drafts))
	for i, d := range drafts {
		if d.announcement != nil {
			records[i] = d.announcement
			continue
		}
		value := d.value
		if d.content != nil {
			var err error
			if value, err = encodeRecord(w.r.ring(), d.key, d.content); err != nil {
				return nil, err
			}
		}
		records[i] = &kgo.Record{
			Topic: w.r.topic, Partition: 0, Key: []byte(d.key.String()), Value: value,
			Headers: []kgo.RecordHeader{{Key: headerWrite, Value: []byte(id)}},
		}
	}
	for _, d := range drafts {
		if d.announcement != nil || d.value != nil {
			continue // nothing of a resource changes when its data key is wrapped anew
		}
		entry, err := audit.Record(w.r.opts.Topics.Audit(), w.r.trailOf(call, d))
		if err != nil {
			return nil, err
		}
		records = append(records, entry)
	}
	return records, nil
}

// endOfTopic is the offset behind the last of the records that went to a topic.
func endOfTopic(records []*kgo.Record, topic string) (end int64) {
	for _, rec := range records {
		if rec.Topic == topic {
			end = max(end, rec.Offset+1)
		}
	}
	return end
}

// commit writes the records in one transaction and waits until the tail has brought them back. uncertain: it failed
// after the point from which the records may be committed.
func (w *writer) commit(ctx context.Context, id string, records []*kgo.Record) (uncertain bool, err error) {
	token, err := w.fencingToken(ctx)
	if err != nil {
		return false, fmt.Errorf("look at the producer: %w", err)
	}
	if token != w.token {
		return false, errFenced
	}
	if err := w.client.BeginTransaction(); err != nil {
		return false, fmt.Errorf("begin a transaction: %w", err)
	}
	if err := w.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return false, fmt.Errorf("write to %s: %w", w.r.topic, err)
	}
	if err := w.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return true, fmt.Errorf("commit to %s: %w", w.r.topic, err)
	}
	if err := w.r.WaitApplied(ctx, endOfTopic(records, w.r.topic)); err != nil {
		return true, err
	}
	if !w.r.written.seen(id) {
		return true, fmt.Errorf("commit to %s: the records did not come back", w.r.topic)
	}
	// Where the broker gives every transaction an epoch of its own, the next one is known now.
	if w.token, err = w.fencingToken(ctx); err != nil {
		w.resign()
	}
	return false, nil
}

// awaitCache gives Redis a moment to take what was just applied, so that a process that starts from it has it.
func (w *writer) awaitCache(ctx context.Context) {
	if !w.r.cache.healthy() {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, cacheWithin, errTimedOut)
	defer cancel()
	// Late is late: the cache catches up by itself.
	_ = w.r.cache.covered.wait(ctx, w.r.applied.get())
}

// permanent are the errors that another attempt meets again. All others, fencing among them, are worth one: each
// attempt starts from a new producer.
var permanent = []error{
	ErrClosed, ErrTopicReplaced, errNoTopic,
	kerr.TransactionalIDAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TopicAuthorizationFailed,
	kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidTransactionTimeout, kerr.SaslAuthenticationFailed,
}

func retryable(err error) bool {
	for _, p := range permanent {
		if errors.Is(err, p) {
			return false
		}
	}
	return true
}
