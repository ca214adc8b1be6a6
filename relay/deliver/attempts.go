package deliver

import (
	"context"
	"strings"
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
}

// attemptBuffer bounds the attempt records that wait to be written: about 1.5 KiB each, 15 MiB in all.
const attemptBuffer = 10_000

// NewAttemptLog writes with client, which may let records wait for others; the journal takes those that must not be lost.
func NewAttemptLog(client *kgo.Client, journal *relay.Journal, topic string, reg prometheus.Registerer) *AttemptLog {
	a := &AttemptLog{client: client, journal: journal, topic: topic, buffer: attemptBuffer,
		shed: prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_attempts_shed_total", Help: "Attempt records that were not written because the producer fell behind."})}
	reg.MustRegister(a.shed)
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

// recordBytes holds the JSON of an attempt that was answered without a body.
const recordBytes = 512

func (a *AttemptLog) record(d *relay.Delivery, attempt int, res outbound.Result, next Next) *kgo.Record {
	made := attempted(d, attempt, time.Now(), res, next)
	made.Response = strings.ToValidUTF8(string(res.Body), "\uFFFD")
	return &kgo.Record{Topic: a.topic, Key: []byte(d.UID), Value: made.AppendJSON(make([]byte, 0, recordBytes+len(made.Response)))}
}

// Write records an attempt that was just made and not yet counted in d.
func (a *AttemptLog) Write(d *relay.Delivery, res outbound.Result, next Next) {
	if a.pending.Add(1) > a.buffer {
		a.pending.Add(-1)
		a.shed.Inc()
		return
	}
	// Its own context: a record that waits to be written outlives the attempt.
	a.client.TryProduce(context.Background(), a.record(d, d.Attempts+1, res, next), func(_ *kgo.Record, err error) {
		a.pending.Add(-1)
		if err != nil {
			a.shed.Inc()
		}
	})
}

// WriteDropped records a delivery that is dropped by its webhook's failure handling; acked is called when the
// record is durable.
func (a *AttemptLog) WriteDropped(d *relay.Delivery, res outbound.Result, next Next, acked func()) {
	a.journal.Write(a.record(d, d.Attempts, res, next), acked)
}
