package bench

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fasthttp"
)

// bareLoop says what the bare loop does: read Topic, and for each event make Width signed requests to the receiver,
// Workers at a time.
type bareLoop struct {
	Kafka   string `json:"kafka"`
	Topic   string `json:"topic"`
	Group   string `json:"group"`
	URL     string `json:"url"` // "%d" in it is the slot
	Width   int    `json:"width"`
	Workers int    `json:"workers"`
}

// bare is the role of the floor that the relay is compared with: consume, sign, append the envelope, POST with the same
// HTTP client, and nothing else. It is not a relay: it commits every 5 s whatever came of the requests, has no retry,
// no webhooks, no filter, no guard and no bound but the number of its workers.
type bare struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	errors atomic.Int64
}

func (b *bare) do(ctx context.Context, name string, raw json.RawMessage) (any, error) {
	switch name {
	case "start":
		loop, err := with[bareLoop](raw)
		if err != nil {
			return nil, err
		}
		return nil, b.start(ctx, loop)
	case "errors":
		return b.errors.Load(), nil
	default:
		return nil, errUnknownRequest
	}
}

func (b *bare) close() error {
	if b.cancel != nil {
		b.cancel()
		b.done.Wait()
	}
	return nil
}

// job is one request to make.
type job struct {
	rec  *kgo.Record
	slot int
}

func (b *bare) start(ctx context.Context, loop bareLoop) error {
	if b.cancel != nil {
		return errors.New("it is running")
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(loop.Kafka, ",")...), kgo.ConsumerGroup(loop.Group), kgo.ConsumeTopics(loop.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(250*time.Millisecond))
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	ctx, b.cancel = context.WithCancel(ctx)
	jobs := make(chan job, 4*loop.Workers)
	host, _, _ := strings.Cut(strings.TrimPrefix(loop.URL, "http://"), "/")
	http := &fasthttp.HostClient{Addr: host, MaxConns: loop.Workers, NoDefaultUserAgentHeader: true}
	for range loop.Workers {
		b.done.Go(func() { newBareWorker(b, http, loop).run(jobs) })
	}
	b.done.Go(func() {
		defer client.Close()
		defer close(jobs)
		for ctx.Err() == nil {
			fetches := client.PollFetches(ctx)
			fetches.EachRecord(func(rec *kgo.Record) {
				for slot := range loop.Width {
					select {
					case jobs <- job{rec, slot}:
					case <-ctx.Done():
						return
					}
				}
			})
		}
	})
	return nil
}

// bareWorker makes one request at a time.
type bareWorker struct {
	of   *bare
	http *fasthttp.HostClient
	loop bareLoop
	mac  hash.Hash
	req  fasthttp.Request
	resp fasthttp.Response
	body []byte
	text []byte
}

func newBareWorker(of *bare, http *fasthttp.HostClient, loop bareLoop) *bareWorker {
	w := &bareWorker{of: of, http: http, loop: loop, mac: hmac.New(sha256.New, []byte("a key of 32 bytes, as usual ones"))}
	w.req.Header.SetMethod(fasthttp.MethodPost)
	w.req.Header.SetContentType("application/json")
	w.req.Header.DisableNormalizing()
	return w
}

func (w *bareWorker) run(jobs <-chan job) {
	for j := range jobs {
		if err := w.post(j); err != nil {
			w.of.errors.Add(1)
		}
	}
}

func (w *bareWorker) post(j job) error {
	w.body = append(append(append(w.body[:0], `{"type":"`...), header(j.rec, "ce_type")...), `","timestamp":"`...)
	w.body = append(append(append(w.body, header(j.rec, "ce_time")...), `","data":`...), j.rec.Value...)
	w.body = append(w.body, '}')

	id := header(j.rec, "ce_id")
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	w.mac.Reset()
	w.text = append(append(append(append(w.text[:0], id...), '.'), timestamp...), '.')
	w.mac.Write(w.text)
	w.mac.Write(w.body)
	sum := w.mac.Sum(w.text[:0])
	w.text = base64.StdEncoding.AppendEncode(append(sum, "v1,"...), sum)

	w.req.SetRequestURI(strings.Replace(w.loop.URL, "%d", strconv.Itoa(j.slot), 1))
	w.req.Header.SetBytesV("webhook-id", id)
	w.req.Header.Set("webhook-timestamp", timestamp)
	w.req.Header.SetBytesV("webhook-signature", w.text[len(sum):])
	w.req.Header.Set(slotHeader, strconv.Itoa(j.slot))
	w.req.SetBodyRaw(w.body)
	if err := w.http.Do(&w.req, &w.resp); err != nil {
		return err
	}
	if status := w.resp.StatusCode(); status != fasthttp.StatusOK {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

func header(rec *kgo.Record, key string) []byte {
	for i := range rec.Headers {
		if rec.Headers[i].Key == key {
			return rec.Headers[i].Value
		}
	}
	return nil
}
