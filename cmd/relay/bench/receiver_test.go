package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ask makes a request of a role.
func ask[T any](t *testing.T, p player, name string, with any) (result T) {
	t.Helper()
	raw, err := json.Marshal(with)
	require.NoError(t, err)
	got, err := p.do(t.Context(), name, raw)
	require.NoError(t, err)
	if got == nil {
		return result
	}
	return got.(T)
}

func newReceiver(t *testing.T, e expectation) *receiver {
	t.Helper()
	r, err := startReceiver(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.close()) })
	ask[any](t, r, "expect", e)
	return r
}

// post sends an event in an envelope, as relay and bare loop do, and gives the status.
func post(t *testing.T, c net.Conn, path string, seq, slot int) int {
	t.Helper()
	body := fmt.Sprintf(`{"type":"x","data":%s}`, eventValue(seq, time.Now()))
	_, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: bench\r\n%s: %d\r\nContent-Length: %d\r\n\r\n%s", path, slotHeader, slot, len(body), body)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func dial(t *testing.T, r *receiver) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", ask[string](t, r, "address", nil))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestReceiver_Counts(t *testing.T) {
	r := newReceiver(t, expectation{Events: 3, Width: 2})
	c := dial(t, r)
	for _, request := range [][2]int{{0, 0}, {0, 1}, {2, 1}, {0, 1}, {3, 0}, {0, 2}} {
		require.Equal(t, http.StatusOK, post(t, c, "/hook", request[0], request[1]))
	}
	got := ask[receipt](t, r, "receipt", nil)
	require.Equal(t, 3, got.Distinct)
	require.Equal(t, 1, got.Duplicates, "event 0 at slot 1")
	require.Equal(t, 2, got.Strays, "event 3 and slot 2 are not expected")
	require.Equal(t, 1, got.Accepted)
	require.Equal(t, 1, got.Open)
	require.False(t, got.Last.Before(got.First))
	require.Positive(t, got.Latency[0])

	ask[any](t, r, "expect", expectation{Events: 3, Width: 2})
	require.Zero(t, ask[receipt](t, r, "receipt", nil).Distinct, "a new expectation forgets what came")
}

func TestReceiver_FailsEachEventOnce(t *testing.T) {
	r := newReceiver(t, expectation{Events: 10, Width: 1})
	ask[any](t, r, "behave", behaviour{FailEvery: 5})
	c := dial(t, r)
	require.Equal(t, http.StatusInternalServerError, post(t, c, "/hook", 5, 0))
	require.Equal(t, http.StatusOK, post(t, c, "/hook", 5, 0))
	require.Equal(t, http.StatusOK, post(t, c, "/hook", 6, 0))
	got := ask[receipt](t, r, "receipt", nil)
	require.Equal(t, 2, got.Distinct)
	require.Equal(t, 1, got.Refused)
	require.Zero(t, got.Duplicates)
}

func TestReceiver_Hangs(t *testing.T) {
	r := newReceiver(t, expectation{Events: 1, Width: 1})
	ask[any](t, r, "behave", behaviour{Hang: "/hook/0/"})
	c := dial(t, r)
	require.Equal(t, http.StatusOK, post(t, c, "/hook/00", 0, 0), "another endpoint")

	body := eventValue(0, time.Now())
	_, err := fmt.Fprintf(c, "POST /hook/0/ HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = c.Read(make([]byte, 1))
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout(), "no answer, and no end of the connection")
}

func TestReceiver_EndsWhatItCannotRead(t *testing.T) {
	r := newReceiver(t, expectation{Events: 1, Width: 1})
	for _, request := range []string{"GET / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"} {
		c := dial(t, r)
		_, err := io.WriteString(c, request)
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "%q", request)
	}
}

func TestEvent_ReadsBack(t *testing.T) {
	at := time.Now()
	value := eventValue(1234567, at)
	require.Len(t, value, eventBytes)
	require.True(t, json.Valid(value), "%s", value)
	seq, published, ok := readEvent(append([]byte(`{"type":"x","data":`), value...))
	require.True(t, ok)
	require.Equal(t, 1234567, seq)
	require.Equal(t, at.UnixNano(), published)
	for _, body := range []string{"", "{}", `{"seq":`, `{"seq":x`, `{"seq":1`, `{"seq":1,"at":`} {
		_, _, ok := readEvent([]byte(body))
		require.False(t, ok, "%s", body)
	}
}

func FuzzReceiver_Heads(f *testing.F) {
	f.Add([]byte("POST /hook HTTP/1.1\r\nBench-Slot: 3\r\nContent-Length: 12\r\n\r\n"))
	f.Add([]byte("\nBench-Slot: "))
	f.Fuzz(func(t *testing.T, head []byte) {
		require.GreaterOrEqual(t, lengthOf(head), -1)
		slotOf(head)
		_, _, _ = readEvent(head)
	})
}

func TestLoad_SaysWhereThereIsNoKafka(t *testing.T) {
	err := publication{Kafka: "127.0.0.1:1", Topic: "debt", Events: 10}.publish(t.Context())
	require.ErrorContains(t, err, "reach Kafka at 127.0.0.1:1")
}
