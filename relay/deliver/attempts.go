package deliver

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/history"
)

// AttemptLog writes one record per attempt to relay.attempts: metadata and the first KiB of the response, never the
// request body. It is best effort: when the producer falls behind, records are shed and counted. The record of a
// dropped delivery is the exception, it goes through the journal.
type AttemptLog struct {
	client  *kgo.Client
	journal *relay.Journal
	topic   string
	buffer  int64
	pending atomic.Int64
	shed    prometheus.Counter
	records sync.Pool // of *attemptRecord that the client is done with
}

// attemptBuffer bounds the attempt records that wait to be written: about 1.5 KiB each, 15 MiB in all.
const attemptBuffer = 10_000

// NewAttemptLog writes with client, which may let records wait for others; the journal takes those that must not be lost.
func NewAttemptLog(client *kgo.Client, journal *relay.Journal, topic string, reg prometheus.Registerer) *AttemptLog {
	a := &AttemptLog{client: client, journal: journal, topic: topic, buffer: attemptBuffer,
		shed: prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_attempts_shed_total", Help: "Attempt records that were not written because the producer fell behind."})}
	reg.MustRegister(a.shed)
	a.records.New = func() any {
		r := new(attemptRecord)
		r.done = func(_ *kgo.Record, err error) { a.written(r, err) }
		return r
	}
	return a
}

// attempted is an attempt as it is recorded, without the response. attempt is its number, 0 when none was made.
func attempted(d *relay.Delivery, attempt int, at time.Time, res outbound.Result, next Next) history.Attempt {
	return history.Attempt{
		UID: d.UID, Tenant: d.Event.Tenant, DeliveryID: d.ID, WebhookID: d.WebhookID, EventID: d.Event.ID, EventType: d.Event.Type,
		Attempt: attempt, At: at.UTC(), LatencyMS: float64(res.Latency.Microseconds()) / 1000,
		Status: res.Status, Error: lastError(res), Outcome: string(next.Action), Reason: string(next.Reason), RetryInMS: next.Wait.Milliseconds(),
	}
}

// attemptRecord is a record with the buffers of its key and value, and what is called when the client is done with it. At
// full speed it would be a quarter of the garbage.
type attemptRecord struct {
	record     kgo.Record
	key, value []byte
	done       func(*kgo.Record, error)
}

// maxPooledRecord: the buffer of a larger record, one with a response, is not kept.
const maxPooledRecord = 1 << 10

// fill makes r the record of an attempt.
func (r *attemptRecord) fill(topic string, d *relay.Delivery, attempt int, res outbound.Result, next Next) *kgo.Record {
	made := attempted(d, attempt, time.Now(), res, next)
	made.Response = strings.ToValidUTF8(string(res.Body), "\uFFFD")
	r.key, r.value = append(r.key[:0], d.UID...), made.AppendJSON(r.value[:0])
	r.record = kgo.Record{Topic: topic, Key: r.key, Value: r.value}
	return &r.record
}

// Write records an attempt that was just made and not yet counted in d.
func (a *AttemptLog) Write(d *relay.Delivery, res outbound.Result, next Next) {
	if a.pending.Add(1) > a.buffer {
		a.pending.Add(-1)
		a.shed.Inc()
		return
	}
	r := a.records.Get().(*attemptRecord)
	// No context of the attempt: a record that waits to be written outlives it, and ends with the client.
	a.client.TryProduce(context.Background(), r.fill(a.topic, d, d.Attempts+1, res, next), r.done)
}

// written lets go of a record that the client has written or given up.
func (a *AttemptLog) written(r *attemptRecord, err error) {
	a.pending.Add(-1)
	if err != nil {
		a.shed.Inc()
	}
	if cap(r.value) <= maxPooledRecord {
		a.records.Put(r)
	}
}

// WriteDropped records a delivery that is dropped by its webhook's failure handling; acked is called when the
// record is durable.
func (a *AttemptLog) WriteDropped(d *relay.Delivery, res outbound.Result, next Next, acked func()) {
	a.journal.Write(new(attemptRecord).fill(a.topic, d, d.Attempts, res, next), acked)
}
