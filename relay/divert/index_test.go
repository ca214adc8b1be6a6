package divert

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

// fill diverts n deliveries of a webhook at distinct times and returns them, the oldest first.
func (b *bench) fill(uid string, n int, why Why, since time.Time) []*relay.Delivery {
	b.t.Helper()
	all := make([]*relay.Delivery, n)
	recs := make([]*kgo.Record, n)
	for i := range n {
		all[i] = delivery(uid, i)
		recs[i] = divertedRecord(b.topics.Diverted(), all[i], why, since.Add(time.Duration(i)*time.Millisecond))
	}
	b.produce(recs...)
	return all
}

func TestIndex_FlushedWhileListing(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	const n = 300
	b.fill("wh_1", n, exhausted, time.Now())
	complete, flushes := 0, 0
	for complete < 3 || flushes < 6 {
		if flushes < 6 {
			b.mini.FlushAll()
			flushes++
		}
		page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1", Limit: 500})
		if err != nil {
			require.ErrorIs(t, err, ErrIndexBehind)
			continue
		}
		require.Len(t, page.Items, n, "a short list was taken for the truth")
		complete++
	}
}

// Redis evicts whole keys: each of them, lost alone, is noticed.
func TestIndex_EvictedKey(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	b.active("wh_1")
	all := b.fill("wh_1", 20, Why{Reason: ReasonSuspended, Epoch: 1}, time.Now())
	_, err := s.ResendOne(t.Context(), "acme", "wh_1", all[0].ID)
	require.NoError(t, err)
	for _, key := range s.index.keys(partitionOfUID("wh_1", 3)) {
		require.True(t, b.mini.Del(key), key)
		require.Eventually(t, func() bool {
			page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
			if err != nil {
				require.ErrorIs(t, err, ErrIndexBehind, key)
				return false
			}
			require.Len(t, page.Items, 20, key)
			require.Equal(t, StateResending, page.Items[19].State, key)
			return true
		}, 5*time.Second, time.Millisecond)
	}
}

func TestIndex_RedisKilledAndBack(t *testing.T) {
	b := newBench(t)
	s, _ := b.running(func(o *Options) { o.IndexWait = 500 * time.Millisecond })
	d := delivery("wh_1", 1)
	put(t, s, d, exhausted)
	require.Eventually(t, func() bool {
		_, err := s.Get(t.Context(), "acme", "wh_1", d.ID)
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)

	b.mini.Close()
	put(t, s, delivery("wh_1", 2), exhausted) // diverting needs no Redis
	_, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
	require.ErrorIs(t, err, ErrIndexBehind)
	_, err = s.Get(t.Context(), "acme", "wh_1", d.ID)
	require.ErrorIs(t, err, ErrIndexBehind)

	require.NoError(t, b.mini.Restart())
	require.Eventually(t, func() bool {
		page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
		return err == nil && len(page.Items) == 2
	}, 5*time.Second, 20*time.Millisecond)
}

func TestIndex_NobodyIndexes(t *testing.T) {
	b := newBench(t)
	s := b.store(func(o *Options) { o.IndexWait = 50 * time.Millisecond })
	_, err := s.List(t.Context(), Query{Tenant: "acme"})
	require.ErrorIs(t, err, ErrIndexBehind)
	require.ErrorContains(t, err, "waited 50ms")
}

// Two processes index the same topic while it is written, read and flushed.
func TestIndex_TwoAtOnce(t *testing.T) {
	b := newBench(t)
	one, _ := b.running()
	two, _ := b.running()
	b.active("wh_1")
	const n = 200
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		s := []*Store{one, two}[i%2]
		d := delivery("wh_1", i)
		s.Put(d, exhausted, func() {
			if i%4 != 0 {
				wg.Done()
				return
			}
			d.DivertKey = KeyOf(d).String()
			go s.Resolve(d, wg.Done)
		})
		if i == n/2 {
			b.mini.FlushAll()
		}
	}
	wg.Wait()
	for _, s := range []*Store{one, two} {
		require.Eventually(t, func() bool {
			page, err := s.List(t.Context(), Query{Tenant: "acme", Limit: 500})
			if err != nil {
				require.ErrorIs(t, err, ErrIndexBehind)
				return false
			}
			require.Len(t, page.Items, n*3/4)
			require.EqualValues(t, n*3/4, page.Total)
			return true
		}, 5*time.Second, 5*time.Millisecond)
	}
}

// An index that may have missed tombstones, is of another topic or is ahead of this one is not continued.
func TestIndex_NotTrusted(t *testing.T) {
	for name, spoil := range map[string]map[string]string{
		"older than tombstones": {"at": fmt.Sprint(time.Now().Add(-relay.TombstoneRetention).UnixMilli())},
		"of another topic":      {"topic": "00"},
		"ahead of the topic":    {"watermark": "1000"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			s, stop := b.running()
			put(t, s, delivery("wh_1", 1), exhausted)
			_, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
			require.NoError(t, err)
			stop()
			meta := s.index.keys(partitionOfUID("wh_1", 3))[0]
			gen := b.mini.HGet(meta, "gen")
			for field, value := range spoil {
				b.mini.HSet(meta, field, value)
			}
			b.run(s)
			require.Eventually(t, func() bool { return b.mini.HGet(meta, "gen") != gen }, 5*time.Second, 5*time.Millisecond)
			page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
			require.NoError(t, err)
			require.Len(t, page.Items, 1)
		})
	}
}

// A restart continues where the index stands instead of reading everything.
func TestIndex_Continues(t *testing.T) {
	b := newBench(t)
	s, stop := b.running()
	put(t, s, delivery("wh_1", 1), exhausted)
	_, err := s.List(t.Context(), Query{Tenant: "acme"})
	require.NoError(t, err)
	stop()
	meta := s.index.keys(partitionOfUID("wh_1", 3))[0]
	gen := b.mini.HGet(meta, "gen")
	put(t, s, delivery("wh_1", 2), exhausted)
	b.run(s)
	page, err := s.List(t.Context(), Query{Tenant: "acme"})
	require.NoError(t, err)
	require.Len(t, page.Items, 2)
	require.Equal(t, gen, b.mini.HGet(meta, "gen"))
}

func TestIndex_UnreadableRecordIsPassedOver(t *testing.T) {
	b := newBench(t)
	s, _ := b.running()
	d := delivery("wh_1", 1)
	bad := divertedRecord(b.topics.Diverted(), delivery("wh_1", 0), exhausted, time.Now())
	bad.Headers = nil
	b.produce(bad, &kgo.Record{Topic: b.topics.Diverted(), Key: []byte("wh_1"), Value: []byte("?")})
	put(t, s, d, exhausted)
	page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	require.Equal(t, d.ID, page.Items[0].DeliveryID)
}

// The script takes a batch only if the watermark lies inside it, and of it only what is new.
func TestIndex_Apply(t *testing.T) {
	b := newBench(t)
	x := b.store().index
	ctx := t.Context()
	st, begun, err := x.begin(ctx, 0, "g1", kadm.TopicID{1}, 10, "", time.Now())
	require.NoError(t, err)
	require.True(t, begun)
	require.EqualValues(t, 10, st.watermark)
	st, begun, err = x.begin(ctx, 0, "g2", kadm.TopicID{1}, 0, "", time.Now())
	require.NoError(t, err)
	require.False(t, begun)
	require.Equal(t, "g1", st.gen)

	at := func(offset int64, n int) indexed {
		e := Entry{DeliveryID: "d", UID: "u", Tenant: "t", Generation: n, Offset: offset, Reason: ReasonSuspended}
		return indexed{offset: offset, kind: changeDiverted, key: e.Key(), entry: encodeEntry(e)}
	}
	watermark := func() int64 {
		all, err := x.standings(ctx, []int32{0})
		require.NoError(t, err)
		return all[0].watermark
	}
	_, err = x.apply(ctx, 0, "g2", 10, 12, nil)
	require.ErrorIs(t, err, errIndexReset, "another generation")
	_, err = x.apply(ctx, 0, "g1", 11, 12, nil)
	require.ErrorIs(t, err, errIndexReset, "a gap")
	_, err = x.apply(ctx, 0, "g1", 5, 10, []indexed{at(7, 0)})
	require.NoError(t, err, "behind the watermark: another was faster")
	require.EqualValues(t, 10, watermark())
	_, err = x.apply(ctx, 0, "g1", 5, 12, []indexed{at(7, 7), at(11, 0)})
	require.NoError(t, err)
	require.EqualValues(t, 12, watermark())
	e, ok, err := x.entry(ctx, 0, 12, "d")
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 11, e.Offset, "what lies below the watermark was not applied again")
	_, _, err = x.entry(ctx, 0, 13, "d")
	require.ErrorIs(t, err, ErrIndexBehind)

	// Generations and markers, in any order that a duplicate may cause.
	key := Key{UID: "u", Delivery: "d"}
	state := func(c ...indexed) (state State, generation int, pending int) {
		t.Helper()
		from := watermark()
		_, err := x.apply(ctx, 0, "g1", from, from+1, c)
		require.NoError(t, err)
		e, _, err := x.entry(ctx, 0, 0, "d")
		require.NoError(t, err)
		some, err := x.withPending(ctx, []int32{0})
		require.NoError(t, err)
		return e.State, e.Generation, len(some)
	}
	said := func(kind change, n int) indexed {
		return indexed{offset: watermark(), kind: kind, key: Key{UID: key.UID, Delivery: key.Delivery, Generation: n}}
	}
	for _, step := range []struct {
		name       string
		change     indexed
		kind       change
		n          int
		state      State
		generation int
		pending    int
	}{
		{name: "marked", kind: changeMarked, state: StateResending},
		{name: "written twice, marker stays", kind: changeDiverted, state: StateResending},
		{name: "unmarked", kind: changeUnmarked, state: StateDiverted, pending: 1},
		{name: "marker of the next comes first", kind: changeMarked, n: 1, state: StateDiverted, pending: 1},
		{name: "next generation", kind: changeDiverted, n: 1, state: StateResending, generation: 1},
		{name: "late tombstone", kind: changeRemoved, n: 0, state: StateResending, generation: 1},
		{name: "late unmark", kind: changeUnmarked, n: 0, state: StateResending, generation: 1},
		{name: "older generation", kind: changeDiverted, n: 0, state: StateResending, generation: 1},
		{name: "unmarked", kind: changeUnmarked, n: 1, state: StateDiverted, generation: 1, pending: 1},
		{name: "removed", kind: changeRemoved, n: 1},
	} {
		c := said(step.kind, step.n)
		if step.kind == changeDiverted {
			c = at(watermark(), step.n)
		}
		state, generation, pending := state(c)
		require.Equal(t, step.state, state, step.name)
		require.Equal(t, step.generation, generation, step.name)
		require.Equal(t, step.pending, pending, step.name)
	}
}

// The last records of a partition may be compacted away, so that no record stands before its end.
func TestStore_BarrierReachesAnEmptyEnd(t *testing.T) {
	b := newBench(t)
	s, stop := b.running()
	put(t, s, delivery("wh_1", 1), exhausted)
	_, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
	require.NoError(t, err)
	stop()
	p := partitionOfUID("wh_1", 3)
	// DeleteRecords leaves what a cleaner leaves of a tail of expired tombstones: an end without a record before it.
	offsets := b.produce(tombstone(b.topics.Diverted(), Key{UID: "wh_1", Delivery: "gone"}))
	_, err = kadm.NewClient(b.client).DeleteRecords(t.Context(), kadm.Offsets{b.topics.Diverted(): {p: {
		Topic: b.topics.Diverted(), Partition: p, At: offsets[0] + 1,
	}}})
	require.NoError(t, err)
	b.run(s)
	page, err := s.List(t.Context(), Query{Tenant: "acme", UID: "wh_1"})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	require.NotZero(t, s.barrierAt.Load())
}

func TestStore_CloseGivesUp(t *testing.T) {
	b := newBench(t)
	o := b.options()
	o.Kafka = []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1"), kgo.RetryTimeout(time.Second)}
	s, err := New(o)
	require.NoError(t, err)
	s.Put(delivery("wh_1", 1), exhausted, func() { t.Error("acknowledged by nobody") })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Close(ctx), context.DeadlineExceeded)
}
