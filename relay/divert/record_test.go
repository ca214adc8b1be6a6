package divert

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

func TestParseKey(t *testing.T) {
	key := Key{UID: "wh_1", Delivery: "dlv_2", Generation: 3}
	got, err := ParseKey(key.String())
	require.NoError(t, err)
	require.Equal(t, key, got)
	for _, bad := range []string{"", "a", "a/b", "a/b/", "/b/0", "a//0", "a/b/-1", "a/b/01", "a/b/+1", "a/b/0/resending", "a/b/99999999999999999999", strings.Repeat("x", 10_000)} {
		_, err := ParseKey(bad)
		require.ErrorIs(t, err, relay.ErrBadRecord, bad)
		require.Less(t, len(err.Error()), 300)
	}
}

// All records of a webhook share a partition, which is the one that any Kafka producer picks for the uid as key.
func TestPartitionOf(t *testing.T) {
	key := Key{UID: "wh_1", Delivery: "dlv_2", Generation: 3}
	want := int(partitionOfUID("wh_1", 12))
	for _, rec := range []*kgo.Record{tombstone("t", key), markerRecord("t", key, time.Now()), {Key: []byte("wh_1")}} {
		require.Equal(t, want, partitionOf(rec, 12))
	}
	require.Equal(t, 7, partitionOf(barrierRecord("t", 7), 12))
	require.Less(t, partitionOf(barrierRecord("t", 70), 12), 12)
	// "21" of Kafka's own murmur2 test vectors: -973932308, made positive, modulo 1000.
	require.EqualValues(t, (-973932308&0x7fffffff)%1000, partitionOfUID("21", 1000))
}

func TestClassify(t *testing.T) {
	key := Key{UID: "wh_1", Delivery: "dlv_2"}
	for want, rec := range map[change]*kgo.Record{
		changeDiverted: divertedRecord("t", delivery("wh_1", 1), exhausted, time.Now()),
		changeRemoved:  tombstone("t", key),
		changeMarked:   markerRecord("t", key, time.Now()),
		changeUnmarked: markerTombstone("t", key),
		changeNothing:  barrierRecord("t", 1),
	} {
		got, _, err := classify(rec)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestDecodeDiverted(t *testing.T) {
	d := delivery("wh_1", 1)
	d.DivertKey, d.Resends = "wh_1/"+d.ID+"/0", 1
	now := time.UnixMilli(1_700_000_000_123)
	why := Why{Reason: ReasonSuspended, Epoch: 7, Status: 503, Error: strings.Repeat("é", 400)}
	good := divertedRecord("t", d, why, now)
	good.Partition, good.Offset = 2, 5
	detail, err := DecodeDiverted(good)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("é", maxErrorBytes/2), detail.LastError, "bounded")
	require.Equal(t, now, detail.DivertedAt)
	require.Equal(t, int64(7), detail.Why.Epoch)
	require.Equal(t, d.Event.Raw, detail.Delivery.Event.Raw)
	require.Equal(t, 1, detail.Generation)
	again, err := decodeEntry(d.ID, 2, encodeEntry(detail.Entry), false)
	require.NoError(t, err)
	require.Equal(t, detail.Entry, again)

	for name, spoil := range map[string]func(*kgo.Record){
		"tombstone":        func(r *kgo.Record) { r.Value = nil },
		"no headers":       func(r *kgo.Record) { r.Headers = nil },
		"no header of why": func(r *kgo.Record) { r.Headers = r.Headers[:2] },
		"header no JSON":   func(r *kgo.Record) { r.Headers[2].Value = []byte("{") },
		"another key":      func(r *kgo.Record) { r.Key = []byte("wh_1/" + d.ID + "/2") },
		"no key":           func(r *kgo.Record) { r.Key = nil },
		"value too short":  func(r *kgo.Record) { r.Value = r.Value[:3] },
	} {
		rec := divertedRecord("t", d, why, now)
		spoil(rec)
		_, err := DecodeDiverted(rec)
		require.ErrorIs(t, err, relay.ErrBadRecord, name)
	}
}

func FuzzDecodeDiverted(f *testing.F) {
	seed := divertedRecord("t", delivery("wh_1", 1), exhausted, time.UnixMilli(1_700_000_000_000))
	f.Add(seed.Key, seed.Value, seed.Headers[0].Value, seed.Headers[1].Value, seed.Headers[2].Value)
	f.Add([]byte("a/b/0"), []byte("{}"), []byte("{}"), []byte("{}"), []byte("{}"))
	f.Add([]byte("barrier/1"), []byte(nil), []byte("null"), []byte("[]"), []byte("1"))
	f.Fuzz(func(t *testing.T, key, value, h0, h1, h2 []byte) {
		rec := &kgo.Record{Key: key, Value: value, Headers: []kgo.RecordHeader{
			{Key: relay.HeaderDelivery, Value: h0}, {Key: relay.HeaderEvent, Value: h1}, {Key: relay.HeaderDiverted, Value: h2},
		}}
		if p := partitionOf(rec, 12); p < 0 || p >= 12 {
			t.Fatalf("partition %d of 12", p)
		}
		detail, err := DecodeDiverted(rec)
		if err != nil {
			return
		}
		if detail.Key().String() != string(key) {
			t.Fatalf("key %q decoded as %s", key, detail.Key())
		}
		if _, err := decodeEntry(detail.DeliveryID, 0, encodeEntry(detail.Entry), false); err != nil {
			t.Fatalf("entry does not survive the index: %v", err)
		}
	})
}
