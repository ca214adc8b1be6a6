package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// transactionTimeout bounds how long Kafka keeps the transaction of a runner that died, if no other takes its place.
const transactionTimeout = 15 * time.Second

// Open lists the jobs that are not finished, the oldest first, as far as they are known here: enough to see whether
// there is something to do. What to do is asked of a Term.
func (s *Store) Open() []Job { return s.board.open() }

// Outdated reports whether there are finished jobs that need not be kept.
func (s *Store) Outdated(now time.Time) bool {
	return len(s.board.outdated(now.Add(-Retention), maxFinished)) > 0
}

// Cancelled reports whether somebody wants the end of a job, or its definition is gone.
func (s *Store) Cancelled(id string) bool {
	j, ok := s.board.get(id)
	return !ok || !j.CancelRequested.IsZero()
}

// Term is the right to carry jobs out. It ends with Close, or when another process takes one.
type Term struct {
	s      *Store
	client *kgo.Client
	// id and epoch are the producer's identity at its initialisation or the end of its latest transaction. A producer
	// that has another one was initialised behind our back, so another may have been the runner in between.
	id    int64
	epoch int16
}

// Take makes this process the one that carries jobs out: everybody else's progress is refused from now on, and
// everything that was written before is known here when Take returns.
func (s *Store) Take(ctx context.Context) (*Term, error) {
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, s.o.Kafka...),
		kgo.TransactionalID(s.o.Topics.Prefix+"jobs"), kgo.TransactionTimeout(transactionTimeout))...)
	if err != nil {
		return nil, fmt.Errorf("jobs: kafka client: %w", err)
	}
	t := &Term{s: s, client: client}
	if t.id, t.epoch, err = client.ProducerID(ctx); err == nil {
		err = s.awaitEnd(ctx)
	}
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("become the runner of jobs: %w", err)
	}
	return t, nil
}

// Close gives the term up.
func (t *Term) Close() { t.client.Close() }

// Save writes the progress of a job and returns when it is durable and known here. What it reports must be durable
// already. After an error it is unknown whether it was written: close the term. ErrFenced: another has taken over.
func (t *Term) Save(ctx context.Context, id string, p Progress) error {
	if err := t.write(ctx, progressRecord(t.s.topic, id, p)); err != nil {
		return fmt.Errorf("progress of job %s: %w", id, err)
	}
	return nil
}

// Forget removes the finished jobs that need not be kept.
func (t *Term) Forget(ctx context.Context, now time.Time) error {
	for _, id := range t.s.board.outdated(now.Add(-Retention), maxFinished) {
		if err := t.write(ctx, tombstones(t.s.topic, id)...); err != nil {
			return fmt.Errorf("forget job %s: %w", id, err)
		}
	}
	return nil
}

func (t *Term) write(ctx context.Context, recs ...*kgo.Record) error {
	id, epoch, err := t.client.ProducerID(ctx)
	if err != nil {
		return fenced(err)
	}
	if id != t.id || epoch != t.epoch {
		return ErrFenced
	}
	if err := t.client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	if err := t.client.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		return fenced(err)
	}
	if err := t.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fenced(err)
	}
	// Where the broker gives every transaction an epoch of its own, the next one is known now.
	if t.id, t.epoch, err = t.client.ProducerID(ctx); err != nil {
		return fenced(err)
	}
	return t.s.awaitApplied(ctx, recs[len(recs)-1].Offset+1)
}

// fenced tells that another producer was initialised from other failures.
func fenced(err error) error {
	for _, refused := range []error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping, kerr.UnknownProducerID} {
		if errors.Is(err, refused) {
			return fmt.Errorf("%w: %w", ErrFenced, err)
		}
	}
	return err
}
