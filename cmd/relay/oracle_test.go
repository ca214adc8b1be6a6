package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

// pair is one event for one webhook: what the relay owes.
type pair struct{ event, webhook string }

// oracle knows what was produced and what each receiver got, and says what is missing, doubled or unasked for. It
// writes a receipt down before the receiver answers, so that an answer is never forgotten by the test.
type oracle struct {
	mu        sync.Mutex
	owed      map[pair]bool
	delivered map[pair]int            // answered 2xx
	ids       map[pair]map[string]int // webhook-id → receipts
	bodies    map[pair]uint64         // hash of the body; all receipts of a pair must agree
	deleted   map[string]time.Time    // webhook → when its deletion was answered
	again     map[pair]int            // how often a crash has entitled it to be delivered once more, see load.crashed
	faults    []string
	verifiers map[string]*standardwebhooks.Webhook // by webhook
	attempts  int
	late      time.Duration // longest that a receipt came after the deletion of its webhook
	// onReceipt runs with each receipt before it is answered; n counts them from 1.
	onReceipt func(n int)

	hung   atomic.Pointer[chan struct{}] // while set, receivers answer nothing until it is closed
	well   atomic.Bool                   // receivers neither fail nor hang any more
	served atomic.Bool                   // what hung is then answered as any other; false: with a 503
}

func newOracle() *oracle {
	return &oracle{owed: map[pair]bool{}, delivered: map[pair]int{}, ids: map[pair]map[string]int{}, bodies: map[pair]uint64{},
		deleted: map[string]time.Time{}, again: map[pair]int{}, verifiers: map[string]*standardwebhooks.Webhook{}}
}

func (o *oracle) owe(event, webhook string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owed[pair{event, webhook}] = true
}

// deletionBound is within what every relay acts on a deletion, and what a busy machine may add to that.
const deletionBound = time.Second + 2*time.Second

func (o *oracle) fault(format string, args ...any) {
	if len(o.faults) < 20 {
		o.faults = append(o.faults, fmt.Sprintf(format, args...))
	}
}

// behaviour is how often a receiver fails and hangs.
type behaviour struct {
	fail, hang float64
	hangs      time.Duration
}

// testSeed decides what receivers answer and which faults happen when. A run is repeated with RELAY_TEST_SEED.
var testSeed = func() uint64 {
	if text := os.Getenv("RELAY_TEST_SEED"); text != "" {
		if seed, err := strconv.ParseUint(text, 10, 64); err == nil {
			return seed
		}
	}
	return rand.Uint64N(1_000_000)
}()

// roll is a number in [0, 1) for one attempt of one delivery: the same in every run with this seed.
func roll(h http.Header) float64 {
	hash := fnv.New64a()
	_, _ = fmt.Fprintf(hash, "%d %s %s", testSeed, h.Get("webhook-id"), h.Get("webhook-attempt"))
	return rand.New(rand.NewPCG(testSeed, hash.Sum64())).Float64()
}

// receiver serves /hook/<webhook>: it verifies the signature with the official library and answers as behaviour says.
func (o *oracle) receiver(t *testing.T, b behaviour) *httptest.Server {
	t.Helper()
	t.Logf("seed %d: repeat with RELAY_TEST_SEED=%d", testSeed, testSeed)
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the relay was killed in the middle of the request
		}
		if hung := o.hung.Load(); hung != nil {
			select {
			case <-*hung:
			case <-stop:
			case <-r.Context().Done():
			}
			if !o.served.Load() || r.Context().Err() != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
		}
		webhook := strings.TrimPrefix(r.URL.Path, "/hook/")
		roll := roll(r.Header)
		if o.well.Load() {
			roll = 1
		}
		ok := roll >= b.fail+b.hang
		o.receipt(webhook, r.Header, body, ok)
		switch {
		case roll < b.hang:
			select {
			case <-time.After(b.hangs):
			case <-stop:
			}
			w.WriteHeader(http.StatusServiceUnavailable) // nobody waits for it any more
		case !ok:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(func() { close(stop); server.Close() })
	return server
}

func (o *oracle) receipt(webhook string, h http.Header, body []byte, ok bool) {
	o.mu.Lock()
	verifier := o.verifiers[webhook]
	o.mu.Unlock()
	var verified error
	if verifier != nil {
		verified = verifier.Verify(body, h)
	}
	hash := fnv.New64a()
	_, _ = hash.Write(body)

	o.mu.Lock()
	defer o.mu.Unlock()
	o.attempts++
	if o.onReceipt != nil {
		defer o.onReceipt(o.attempts)
	}
	p := pair{h.Get("webhook-event-id"), webhook}
	if verified != nil {
		o.fault("%v: signature: %v", p, verified)
	}
	if at, gone := o.deleted[webhook]; gone {
		after := time.Since(at)
		o.late = max(o.late, after)
		if after > deletionBound {
			o.fault("ghost: %v arrived %s after its webhook was deleted", p, after)
		}
	}
	if !o.owed[p] {
		o.fault("ghost: %v was never owed", p)
		return
	}
	if o.ids[p] == nil {
		o.ids[p] = map[string]int{}
	}
	o.ids[p][h.Get("webhook-id")]++
	if sum, seen := o.bodies[p]; seen && sum != hash.Sum64() {
		o.fault("%v: the body changed between attempts", p)
	}
	o.bodies[p] = hash.Sum64()
	if ok {
		o.delivered[p]++
	}
}

// progress counts the pairs delivered.
func (o *oracle) progress() (delivered, owed int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.delivered), len(o.owed)
}

// missing are owed pairs that were neither delivered nor diverted.
func (o *oracle) missing(diverted map[pair]bool) []pair {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []pair
	for p := range o.owed {
		if _, gone := o.deleted[p.webhook]; !gone && o.delivered[p] == 0 && !diverted[p] {
			list = append(list, p)
		}
	}
	return list
}

// verdict is what the oracle has to say at the end.
type verdict struct {
	owed, delivered, diverted, duplicates, attempts int
	// entitled is how many duplicates the crashes of the run allow at most; beyond counts those that no crash explains.
	entitled, beyond int
}

// judge checks everything at quiescence: nothing missing, no ghosts, one webhook-id per pair, equal bodies, signatures.
func (o *oracle) judge(t *testing.T, diverted map[pair]bool) verdict {
	t.Helper()
	missing := o.missing(diverted)
	o.mu.Lock()
	defer o.mu.Unlock()
	v := verdict{owed: len(o.owed), delivered: len(o.delivered), diverted: len(diverted), attempts: o.attempts}
	for p, ids := range o.ids {
		if len(ids) != 1 {
			o.fault("%v: %d webhook-ids", p, len(ids))
		}
	}
	for p, n := range o.delivered {
		v.duplicates += n - 1
		v.beyond += max(0, n-1-o.again[p])
	}
	for _, n := range o.again {
		v.entitled += n
	}
	require.Empty(t, o.faults)
	require.Empty(t, missing[:min(len(missing), 10)], "%d of %d pairs are missing", len(missing), v.owed)
	return v
}

// readDiverted reads the diverted topic to its end and returns the pairs with a live entry; names maps uid to webhook.
func readDiverted(t *testing.T, kafka []kgo.Opt, topic string, names map[string]string) map[pair]bool {
	t.Helper()
	live := map[string]pair{}
	for _, rec := range readAll(t, kafka, topic) {
		if rec.Value == nil {
			delete(live, string(rec.Key))
			continue
		}
		if d, err := relay.DecodeDelivery(rec); err == nil {
			live[string(rec.Key)] = pair{d.Event.ID, names[d.UID]}
		}
	}
	pairs := map[pair]bool{}
	for _, p := range live {
		pairs[p] = true
	}
	return pairs
}

func readAll(t *testing.T, kafka []kgo.Opt, topic string) []*kgo.Record {
	t.Helper()
	return readFrom(t, kafka, nil, topic)
}

// readFrom reads topics from the given offsets, or from their beginning, to where they end now.
func readFrom(t *testing.T, kafka []kgo.Opt, from kadm.Offsets, topics ...string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := kgo.NewClient(append([]kgo.Opt{}, kafka...)...)
	require.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topics...)
	require.NoError(t, err)
	starts, err := admin.ListStartOffsets(ctx, topics...)
	require.NoError(t, err)
	left, parts := map[topicPartition]int64{}, map[string]map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		begin := int64(0)
		if start, ok := starts.Lookup(o.Topic, o.Partition); ok {
			begin = start.Offset
		}
		if at, ok := from.Lookup(o.Topic, o.Partition); ok {
			begin = max(begin, at.At)
		}
		if o.Offset > begin {
			left[topicPartition{o.Topic, o.Partition}] = o.Offset
			if parts[o.Topic] == nil {
				parts[o.Topic] = map[int32]kgo.Offset{}
			}
			parts[o.Topic][o.Partition] = kgo.NewOffset().At(begin)
		}
	})
	if len(left) == 0 {
		return nil
	}
	client.AddConsumePartitions(parts)
	var records []*kgo.Record
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "read %v to their end: %v left", topics, left)
		fetches.EachRecord(func(rec *kgo.Record) {
			records = append(records, rec)
			if key := (topicPartition{rec.Topic, rec.Partition}); rec.Offset+1 >= left[key] {
				delete(left, key)
			}
		})
	}
	return records
}

// topicPartition is a partition.
type topicPartition struct {
	topic     string
	partition int32
}

// lag is how many records of the topics the group has not committed.
func lag(ctx context.Context, admin *kadm.Client, group string, topics ...string) (int64, error) {
	ends, err := admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return 0, err
	}
	committed, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return 0, err
	}
	var behind int64
	ends.Each(func(end kadm.ListedOffset) {
		at := int64(0)
		if o, ok := committed.Lookup(end.Topic, end.Partition); ok && o.At > 0 {
			at = o.At
		}
		behind += end.Offset - at
	})
	return behind, nil
}

// api is the admin API, as a client uses it.
type api struct{ url, key string }

func (a api) call(ctx context.Context, method, path string, body, into any) (int, error) {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		reader = strings.NewReader(string(raw))
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, reader)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+a.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, err
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, raw)
	}
	if into == nil {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, json.Unmarshal(raw, into)
}
