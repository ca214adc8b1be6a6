package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// behaviour is how a receiver answers.
type behaviour struct {
	// Delay before each answer.
	Delay time.Duration `json:"delay"`
	// FailEvery: the first request of every so many events is answered 500; 0 fails none.
	FailEvery int `json:"failEvery"`
	// Hang: requests whose path begins with it get no answer while it is set.
	Hang string `json:"hang"`
}

// receiver is the endpoint of a benchmark: an HTTP/1.1 server that does as little as it can, so that the relay is what
// is measured. It reads requests with a Content-Length only, one after the other, and answers in one write.
//
// A goroutine belongs to each connection and one accepts them; close waits for all. What they share is atomic.
type receiver struct {
	listener net.Listener
	how      atomic.Pointer[behaviour]
	got      atomic.Pointer[tally]
	failed   sync.Map // event numbers that were refused once

	open, accepted atomic.Int64
	connections    sync.Map // net.Conn → nothing, to be closed
	running        sync.WaitGroup
	closing        context.Context
	stop           context.CancelFunc
}

func startReceiver(ctx context.Context) (*receiver, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("receiver: %w", err)
	}
	r := &receiver{listener: listener}
	r.closing, r.stop = context.WithCancel(ctx)
	r.how.Store(&behaviour{})
	r.got.Store(newTally(expectation{}))
	r.running.Go(r.accept)
	return r, nil
}

func (r *receiver) do(_ context.Context, name string, raw json.RawMessage) (any, error) {
	switch name {
	case "address":
		return r.listener.Addr().String(), nil
	case "behave":
		how, err := with[behaviour](raw)
		if err == nil {
			r.how.Store(&how)
		}
		return nil, err
	case "expect":
		expected, err := with[expectation](raw)
		if err == nil {
			r.failed.Clear()
			r.accepted.Store(r.open.Load())
			r.got.Store(newTally(expected))
		}
		return nil, err
	case "receipt":
		receipt := r.got.Load().receipt()
		receipt.Open, receipt.Accepted = int(r.open.Load()), int(r.accepted.Load())
		return receipt, nil
	default:
		return nil, errUnknownRequest
	}
}

func (r *receiver) close() error {
	r.stop()
	err := r.listener.Close()
	r.connections.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
	r.running.Wait()
	return err
}

func (r *receiver) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		r.connections.Store(c, nil)
		r.open.Add(1)
		r.accepted.Add(1)
		r.running.Go(func() {
			defer func() {
				r.connections.Delete(c)
				r.open.Add(-1)
				_ = c.Close()
			}()
			r.converse(c)
		})
	}
}

const (
	// requestBytes holds a whole request: headers of about 600 B and an event.
	requestBytes = 8 << 10
	// maxBodyBytes is far above what is sent here.
	maxBodyBytes = 1 << 20
)

// The two answers.
var (
	answerOK     = []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	answerFailed = []byte("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
)

// converse answers the requests of one connection until it ends.
func (r *receiver) converse(c net.Conn) {
	in := bufio.NewReaderSize(c, requestBytes)
	var body []byte
	for {
		head, err := readHead(in)
		if err != nil {
			return
		}
		slot, length, hangs := slotOf(head), lengthOf(head), r.hangs(head)
		if length < 0 || length > maxBodyBytes {
			return
		}
		if _, err := in.Discard(len(head)); err != nil {
			return
		}
		if cap(body) < length {
			body = make([]byte, length)
		}
		body = body[:length]
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		now := time.Now()
		if hangs {
			r.hang(c)
			return
		}
		if _, err := c.Write(r.take(body, slot, now)); err != nil {
			return
		}
	}
}

// take notes a request and gives the answer.
func (r *receiver) take(body []byte, slot int, now time.Time) []byte {
	got, how := r.got.Load(), r.how.Load()
	got.saw(now)
	if how.Delay > 0 {
		select {
		case <-time.After(how.Delay):
		case <-r.closing.Done():
		}
	}
	seq, published, ok := readEvent(body)
	if !ok {
		got.strays.Add(1)
		return answerOK
	}
	if how.FailEvery > 0 && seq%how.FailEvery == 0 {
		if _, again := r.failed.LoadOrStore(seq, nil); !again {
			got.refused.Add(1)
			return answerFailed
		}
	}
	got.accept(seq, slot, published, now)
	return answerOK
}

// hangs reports whether a request is for the endpoint that hangs.
func (r *receiver) hangs(head []byte) bool {
	path := r.how.Load().Hang
	return path != "" && bytes.HasPrefix(head[len("POST "):], []byte(path))
}

// hang keeps the connection until the other side gives up.
func (r *receiver) hang(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

var headEnd = []byte("\r\n\r\n")

// readHead gives the request line and headers without taking them out of the reader.
func readHead(in *bufio.Reader) ([]byte, error) {
	for want := 1; ; {
		if _, err := in.Peek(want); err != nil {
			return nil, err
		}
		have, _ := in.Peek(in.Buffered())
		if i := bytes.Index(have, headEnd); i >= 0 {
			if !bytes.HasPrefix(have, []byte("POST ")) {
				return nil, fmt.Errorf("not a POST: %.20q", have)
			}
			return have[:i+len(headEnd)], nil
		}
		want = len(have) + 1
	}
}

var lengthMark = []byte("\r\nContent-Length: ")

// lengthOf is the Content-Length; -1 without one.
func lengthOf(head []byte) int {
	i := bytes.Index(head, lengthMark)
	if i < 0 {
		return -1
	}
	n, _, ok := leadingInt(head[i+len(lengthMark):])
	if !ok {
		return -1
	}
	return int(n)
}

// slotOf is which of an event's webhooks a request is for; 0 without the header.
func slotOf(head []byte) int {
	i := bytes.Index(head, slotMark)
	if i < 0 {
		return 0
	}
	line := head[i+len(slotMark):]
	if end := bytes.IndexByte(line, '\r'); end >= 0 {
		line = line[:end]
	}
	n, err := strconv.Atoi(string(line))
	if err != nil {
		return 0
	}
	return n
}
