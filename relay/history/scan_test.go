package history

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

func attemptRecord(a Attempt) *kgo.Record {
	value, err := json.Marshal(&a)
	if err != nil {
		panic(err)
	}
	return &kgo.Record{Topic: "relay.attempts", Key: []byte(a.UID), Value: value, Timestamp: a.At}
}

func TestAttempts_FromTheTopic(t *testing.T) {
	b := newBench(t)
	var recs []*kgo.Record
	for i := range 3000 {
		uid := fmt.Sprintf("wh_%d", i%5)
		a := attempt(uid, i)
		if i%5 == 4 {
			a.Tenant = "other"
		}
		if i%500 == 0 {
			a.EventID = "the event"
		}
		recs = append(recs, attemptRecord(a))
	}
	recs = append(recs, &kgo.Record{Topic: "relay.attempts", Key: []byte("wh_1"), Value: []byte("not ours")})
	b.produce(recs...)

	read := func(q AttemptQuery) (items []Attempt, pages int) {
		t.Helper()
		q.Tenant = "acme"
		for {
			page, next, err := b.Attempts(t.Context(), q)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), q.Limit)
			items, pages = append(items, page...), pages+1
			if q.Cursor = next; next == "" {
				return items, pages
			}
		}
	}
	one, pages := read(AttemptQuery{UID: "wh_1", Limit: 70})
	require.Len(t, one, 600)
	require.GreaterOrEqual(t, pages, 600/70)
	for i, a := range one {
		require.Equal(t, fmt.Sprintf("evt-%d", 3000-4-5*i), a.EventID, "each once, the latest first")
	}
	ancient, _ := read(AttemptQuery{UID: "wh_1", To: time.Date(43, 1, 1, 0, 0, 0, 0, time.UTC), Limit: 200})
	require.Empty(t, ancient)
	everyone, _ := read(AttemptQuery{Limit: 200})
	require.Len(t, everyone, 2400, "not the other tenant's")
	unique := map[string]bool{}
	for _, a := range everyone {
		unique[a.DeliveryID] = true
	}
	require.Len(t, unique, 2400)
	event, _ := read(AttemptQuery{EventID: "the event", Limit: 10})
	require.Len(t, event, 6)
	foreign, _ := read(AttemptQuery{UID: "wh_4", Limit: 10})
	require.Empty(t, foreign)
	failed, _ := read(AttemptQuery{UID: "wh_1", Result: ResultFailed, From: start.Add(time.Second), To: start.Add(2 * time.Second), Limit: 50})
	require.Len(t, failed, 66)
	for _, a := range failed {
		require.False(t, a.Delivered())
	}
	for _, bad := range []string{"x", "1", "1:x", "-1:2", "1:-2", "1:2,"} {
		_, _, err := b.Attempts(t.Context(), AttemptQuery{Tenant: "acme", Cursor: bad, Limit: 1})
		require.ErrorIs(t, err, ErrBadCursor, bad)
	}
}

func TestRejected_LatestFirst(t *testing.T) {
	b := newBench(t)
	reject := func(i int, topic, reason, value string) *kgo.Record {
		rec := &kgo.Record{Topic: "relay.rejected", Value: []byte(value), Timestamp: start.Add(time.Duration(i) * time.Second), Headers: []kgo.RecordHeader{
			{Key: relay.HeaderReason, Value: []byte(reason)}, {Key: relay.HeaderDetail, Value: []byte("detail")},
			{Key: relay.HeaderSource, Value: fmt.Appendf(nil, "%s/2/%d", topic, i)}, {Key: relay.HeaderReason, Value: []byte("the record's own header")},
		}}
		if value == "" {
			rec.Value = nil
		}
		return rec
	}
	recs := []*kgo.Record{{Topic: "relay.rejected", Value: []byte("not ours")}}
	for i := range 30 {
		recs = append(recs, reject(i, "debt", "not_json", strings.Repeat("ä", 200)))
	}
	recs = append(recs, reject(30, "sms", "too_large", ""), reject(31, "sms", "no_type", "{}"))
	b.produce(recs...)

	var all []Rejected
	q := RejectedQuery{Limit: 7}
	for {
		page, next, err := b.Rejected(t.Context(), q)
		require.NoError(t, err)
		all = append(all, page...)
		if q.Cursor = next; next == "" {
			break
		}
	}
	require.Len(t, all, 32)
	for i, r := range all {
		require.EqualValues(t, 31-i, r.Offset)
	}
	require.Equal(t, Rejected{Topic: "sms", Partition: 2, Offset: 31, Reason: "no_type", Detail: "detail", At: all[0].At, Size: 2, Kept: true, Preview: "{}"}, all[0])
	require.Equal(t, start.Add(31*time.Second).UnixMilli(), all[0].At.UnixMilli())
	require.False(t, all[1].Kept)
	require.Equal(t, 400, all[2].Size)
	require.Equal(t, strings.Repeat("ä", 128), all[2].Preview)

	for _, c := range []struct {
		query RejectedQuery
		want  int
	}{
		{RejectedQuery{Topic: "sms"}, 2}, {RejectedQuery{Reason: "not_json"}, 30}, {RejectedQuery{Topic: "debt", Reason: "no_type"}, 0},
		{RejectedQuery{From: start.Add(30 * time.Second)}, 2}, {RejectedQuery{To: start.Add(5 * time.Second)}, 5},
	} {
		c.query.Limit = 100
		got, next, err := b.Rejected(t.Context(), c.query)
		require.NoError(t, err)
		require.Len(t, got, c.want, "%+v", c.query)
		require.Empty(t, next)
	}
}

// TestRejected_LargeRecordsAreReadInPieces: one page looks at a bounded number of bytes.
func TestRejected_LargeRecordsAreReadInPieces(t *testing.T) {
	b := newBench(t)
	for i := range 40 {
		b.produce(&kgo.Record{Topic: "relay.rejected", Value: []byte(strings.Repeat("x", 900<<10)), Headers: []kgo.RecordHeader{
			{Key: relay.HeaderReason, Value: []byte("not_json")}, {Key: relay.HeaderSource, Value: fmt.Appendf(nil, "debt/0/%d", i)}}})
	}
	got, next, err := b.Rejected(t.Context(), RejectedQuery{Limit: 3})
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.EqualValues(t, 39, got[0].Offset)
	got, _, err = b.Rejected(t.Context(), RejectedQuery{Limit: 3, Cursor: next})
	require.NoError(t, err)
	require.EqualValues(t, 36, got[0].Offset)
}

func TestEvent_ReadsOneBack(t *testing.T) {
	b := newBench(t)
	b.produce(
		&kgo.Record{Topic: "debt", Partition: 0, Key: []byte("k"), Value: []byte(`{"id":"e1","type":"debt.paid","timestamp":"2026-01-02T03:04:05Z","data":{"a":1.50}}`)},
		&kgo.Record{Topic: "debt", Key: []byte("k"), Value: []byte(`nonsense`)}, &kgo.Record{Topic: "debt", Key: []byte("k")},
		&kgo.Record{Topic: "other", Key: []byte("k"), Value: []byte(`{}`)})
	p := partitionOf("k", 2)
	ev, err := b.Event(t.Context(), "debt", p, 0)
	require.NoError(t, err)
	require.Equal(t, "e1", ev.ID)
	require.Equal(t, `{"a":1.50}`, string(ev.Data))
	_, err = b.Event(t.Context(), "debt", p, 1)
	var rejected *RejectedError
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, "not_json", rejected.Reason)
	for _, c := range []struct {
		topic     string
		partition int32
		offset    int64
	}{{"debt", p, 2}, {"debt", p, 3}, {"debt", p, -1}, {"debt", 9, 0}, {"debt", -1, 0}, {"other", 0, 0}, {"relay.webhooks", 0, 0}, {"", 0, 0}} {
		_, err := b.Event(t.Context(), c.topic, c.partition, c.offset)
		require.ErrorIs(t, err, ErrNotFound, "%+v", c)
	}
}

func TestTopics_UnavailableSaysSo(t *testing.T) {
	b := newBench(t)
	b.client.Close()
	_, _, err := b.Attempts(t.Context(), AttemptQuery{Tenant: "acme", Limit: 1})
	require.ErrorIs(t, err, ErrUnavailable)
	_, _, err = b.Rejected(t.Context(), RejectedQuery{Limit: 1})
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = b.Event(t.Context(), "debt", 0, 0)
	require.ErrorIs(t, err, ErrUnavailable)
}
