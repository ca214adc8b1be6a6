package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"eventrelay/catalog"
)

func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	require.NoError(t, c.Write(&m))
	return m.GetCounter().GetValue()
}

// recordsByKey counts the records of the topic by key, committed ones only.
func (b *bundle) recordsByKey(r *Registry) map[string]int {
	b.t.Helper()
	barrier, err := r.writeBarrier(b.ctx())
	require.NoError(b.t, err)
	counts := map[string]int{}
	require.NoError(b.t, r.replay(b.ctx(), barrier+1, func(_ context.Context, records []*kgo.Record) error {
		for _, rec := range records {
			if !rec.Attrs.IsControl() {
				counts[string(rec.Key)]++
			}
		}
		return nil
	}))
	return counts
}

func TestWriter_ZombieIsFencedAndSeesWhatItMissed(t *testing.T) {
	b := newBundle(t)
	b.redis.Close() // no lock: nothing but the fencing keeps the two apart
	zombie, other := b.start(), b.start()
	v := zombie.mustCreate(t, testWebhook("contested"))

	var calls, seen []int
	updated, err := zombie.UpdateWebhook(b.ctx(), "default", v.Webhook.UID, 0, func(w *catalog.Webhook) error {
		calls = append(calls, int(w.Revision))
		seen = append(seen, zombie.Count())
		if len(calls) == 1 {
			// Between the decision and the commit another process becomes the writer and writes twice.
			other.mustCreate(t, testWebhook("new"))
			_, err := other.UpdateWebhook(b.ctx(), "default", v.Webhook.UID, 1, func(w *catalog.Webhook) error {
				w.Description = "by the other"
				return nil
			})
			require.NoError(t, err)
		}
		w.DisplayName = "by the zombie"
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, calls, "decided anew on what the other wrote")
	require.Equal(t, []int{1, 2}, seen)
	require.Equal(t, int64(3), updated.Webhook.Revision)
	require.Equal(t, "by the other", updated.Webhook.Description, "the other's write is not undone")
	require.GreaterOrEqual(t, counted(t, zombie.metrics.writeRetries), 1.0)
	require.Equal(t, 3, b.recordsByKey(zombie.Registry)[webhookKey(v.Webhook).String()], "the fenced attempt is not in the topic")
}

func TestWriter_RevisionDecidedOnTheFencedState(t *testing.T) {
	b := newBundle(t)
	b.redis.Close()
	zombie, other := b.start(), b.start()
	v := zombie.mustCreate(t, testWebhook("contested"))
	_, err := zombie.UpdateWebhook(b.ctx(), "default", v.Webhook.UID, 1, func(*catalog.Webhook) error {
		return other.DeleteWebhook(b.ctx(), "default", v.Webhook.UID, 0)
	})
	require.ErrorIs(t, err, ErrNotFound)
	require.Zero(t, zombie.Count())
}

func TestWriter_ConcurrentCreates(t *testing.T) {
	for name, withRedis := range map[string]bool{"with the lock": true, "without Redis": false} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t)
			if !withRedis {
				b.redis.Close()
			}
			registries := []*instance{b.start(), b.start()}
			const ids = 12
			var (
				group   sync.WaitGroup
				winners [ids]atomic.Int64
			)
			for i := range ids {
				for _, r := range registries {
					group.Go(func() {
						switch _, err := r.CreateWebhook(b.ctx(), testWebhook(fmt.Sprint("id", i))); {
						case err == nil:
							winners[i].Add(1)
						case !errors.Is(err, ErrExists):
							t.Error(err)
						}
					})
				}
			}
			group.Wait()
			for i := range winners {
				require.Equal(t, int64(1), winners[i].Load(), "id%d", i)
			}
			for _, r := range registries {
				require.NoError(t, r.Confirm(b.ctx()))
				require.Equal(t, ids, r.Count())
			}
			webhooks := 0
			for key, n := range b.recordsByKey(registries[0].Registry) {
				if k, err := parseRecordKey(key); err == nil && k.kind == KindWebhook {
					require.Equal(t, 1, n, key)
					webhooks++
				}
			}
			require.Equal(t, ids, webhooks, "none twice, none lost")
		})
	}
}

func TestWriter_OneWinnerPerRevision(t *testing.T) {
	b := newBundle(t)
	registries := []*instance{b.start(), b.start()}
	uid := registries[0].mustCreate(t, testWebhook("a")).Webhook.UID
	for revision := int64(1); revision <= 4; revision++ {
		var (
			group        sync.WaitGroup
			won, refused atomic.Int64
		)
		for i := range 6 {
			group.Go(func() {
				_, err := registries[i%2].UpdateWebhook(b.ctx(), "default", uid, revision, func(*catalog.Webhook) error { return nil })
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, ErrRevision):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.Equal(t, int64(1), won.Load())
		require.Equal(t, int64(5), refused.Load())
	}
}

// lossyDialer loses the answer to one request of a kind: the broker acts on it, and the connection breaks.
type lossyDialer struct {
	key   kmsg.Key
	armed atomic.Bool
	lost  atomic.Int64
}

func (d *lossyDialer) dial(ctx context.Context, network, host string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, host)
	return &lossyConn{Conn: conn, dialer: d}, err
}

type lossyConn struct {
	net.Conn
	dialer *lossyDialer
	lose   atomic.Bool
}

func (c *lossyConn) Write(b []byte) (int, error) {
	// A request begins with its size in four bytes and its key in two.
	if len(b) >= 6 && binary.BigEndian.Uint16(b[4:]) == uint16(c.dialer.key) && c.dialer.armed.Swap(false) {
		c.lose.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.lose.Load() && n > 0 {
		c.dialer.lost.Add(1)
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}

func TestWriter_AnswerToTheCommitIsLost(t *testing.T) {
	b := newBundle(t)
	dialer := &lossyDialer{key: kmsg.EndTxn}
	r := b.start(func(r *Registry) {
		r.opts.Kafka = append(r.opts.Kafka, kgo.Dialer(dialer.dial), kgo.RequestRetries(0))
	})
	r.mustCreate(t, testWebhook("before"))
	dialer.armed.Store(true)
	v := r.mustCreate(t, testWebhook("a"))
	require.Equal(t, int64(1), dialer.lost.Load())
	require.Equal(t, 1, b.recordsByKey(r.Registry)[webhookKey(v.Webhook).String()], "found committed, not written again")
	require.Equal(t, 1.0, counted(t, r.metrics.writeRetries))
}

func TestWriter_CommitRefused(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.UnknownServerError})
	v := r.mustCreate(t, testWebhook("a"))
	require.Equal(t, 1, b.recordsByKey(r.Registry)[webhookKey(v.Webhook).String()])
	require.Equal(t, 1.0, counted(t, r.metrics.writeRetries))
}

func TestWriter_GivesUpWithItsCaller(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.UnknownServerError, Count: -1})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := r.CreateWebhook(ctx, testWebhook("a"))
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrExists)
}

func TestWriter_PermanentErrorIsReturnedAtOnce(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.TransactionalIDAuthorizationFailed, Count: -1})
	_, err := r.CreateWebhook(b.ctx(), testWebhook("a"))
	require.ErrorIs(t, err, kerr.TransactionalIDAuthorizationFailed)
	require.Equal(t, 0.0, counted(t, r.metrics.writeRetries))
}

func TestRetryable(t *testing.T) {
	for err, want := range map[error]bool{
		kerr.ProducerFenced: true, kerr.InvalidProducerEpoch: true, kerr.InvalidTxnState: true, errFenced: true,
		kerr.ConcurrentTransactions: true, io.EOF: true, context.DeadlineExceeded: true,
		ErrClosed: false, ErrTopicReplaced: false, kerr.MessageTooLarge: false, kerr.TopicAuthorizationFailed: false,
	} {
		require.Equal(t, want, retryable(fmt.Errorf("wrapped: %w", err)), err)
	}
}

func TestLock_IsOnlyAdvice(t *testing.T) {
	b := newBundle(t)
	r := b.make()
	ctx := b.ctx()
	release := r.writer.lock.acquire(ctx)
	require.True(t, b.redis.Exists(r.cache.keys.writeLock))

	took, err := r.writer.lock.try(ctx, "other", lockFor)
	require.NoError(t, err)
	require.False(t, took)
	r.writer.lock.release(ctx, "other")
	require.True(t, b.redis.Exists(r.cache.keys.writeLock), "only its holder releases it")
	release()
	require.False(t, b.redis.Exists(r.cache.keys.writeLock))

	b.redis.Close()
	r.writer.lock.acquire(ctx)() // returns although there is no Redis
}
