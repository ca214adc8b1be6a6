package payload

import (
	"strconv"
	"time"
)

// Header is one request header. Names are lower case; values hold no control characters.
type Header struct{ Name, Value string }

// Message is the body and headers of one attempt, and the scratch memory to build them in. The zero value is ready;
// pool it, and Reset it before it goes back. It belongs to one goroutine at a time.
type Message struct {
	// Body is sent byte for byte as signed. It may be the event's own memory: never write to it, and do not use it
	// after the next Compose or Reset.
	Body []byte
	// Headers in the order in which they are sent.
	Headers []Header

	attempt attempt
	// body backs Body where the format builds one; text is scratch for signatures and
	// for parts of a body.
	body, text []byte
	// second and secondText remember the latest webhook-timestamp, so that busy lanes format it once a second.
	second     int64
	secondText string
}

// keepBytes is the largest body buffer that a pooled Message keeps: 100 times a usual event of 600 B. Without a bound
// a pool would go on holding one event of maximum size (10 MiB) per message.
const keepBytes = 64 << 10

// Reset empties the message and lets go of the event. Small buffers are kept for the next Compose.
func (m *Message) Reset() {
	m.Body = nil
	clear(m.Headers)
	m.Headers = m.Headers[:0]
	m.attempt = attempt{}
	if cap(m.body) > keepBytes {
		m.body = nil
	}
	if cap(m.text) > keepBytes {
		m.text = nil
	}
}

func (m *Message) add(name, value string) {
	m.Headers = append(m.Headers, Header{Name: name, Value: value})
}

// own makes body, which was built in m.body's memory, the message's body.
func (m *Message) own(body []byte) {
	m.body = body
	m.Body = body
}

// borrow makes memory of the event the message's body, without copying. Its capacity is cut so that an append by
// mistake copies instead of writing into the event.
func (m *Message) borrow(b []byte) {
	m.Body = b[:len(b):len(b)]
}

func (m *Message) unixSeconds(now time.Time) string {
	if s := now.Unix(); s != m.second || m.secondText == "" {
		m.second, m.secondText = s, strconv.FormatInt(s, 10)
	}
	return m.secondText
}
