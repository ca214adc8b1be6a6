package audit

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"eventrelay/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testTopics = relay.Topics{Prefix: "test.", Partitions: 1, MaxEventBytes: relay.DefaultMaxEventBytes}

// trail is a Log on a broker of its own.
type trail struct {
	*Log
	t      testing.TB
	client *kgo.Client
	seeds  []string
}

func newTrail(t testing.TB) *trail {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.Ports(0), kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ProducerLinger(0))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	for _, spec := range testTopics.Specs() {
		if spec.Name == testTopics.Audit() {
			_, err := relay.CreateTopics(t.Context(), kadm.NewClient(client), 1, []relay.TopicSpec{spec})
			require.NoError(t, err)
		}
	}
	log, err := NewLog(Options{Client: client, Topic: testTopics.Audit()})
	require.NoError(t, err)
	return &trail{Log: log, t: t, client: client, seeds: cluster.ListenAddrs()}
}

// write appends entries with times a second apart.
func (l *trail) write(entries ...Entry) {
	l.t.Helper()
	for _, e := range entries {
		rec, err := Record(l.topic, e)
		require.NoError(l.t, err)
		require.NoError(l.t, l.client.ProduceSync(l.t.Context(), rec).FirstErr())
	}
}

// all pages through a query and gives the uids that it finds.
func (l *trail) all(q Query) (uids []string) {
	l.t.Helper()
	for {
		page, err := l.Read(l.t.Context(), q)
		require.NoError(l.t, err)
		require.LessOrEqual(l.t, len(page.Entries), q.Limit)
		for _, e := range page.Entries {
			uids = append(uids, e.UID)
		}
		if page.Next == 0 {
			return uids
		}
		require.True(l.t, q.Before == 0 || page.Next < q.Before, "every page goes on below the one before it")
		q.Before = page.Next
	}
}

var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func entry(tenant, actor, uid string, after time.Duration) Entry {
	return Entry{Time: monday.Add(after), Tenant: tenant, Call: Call{Actor: actor, Action: "POST /v1/webhooks"}, Kind: "webhook",
		ID: "id-" + uid, UID: uid, After: 1, Outcome: Created}
}

func TestLog_ReadsNewestFirstAndFilters(t *testing.T) {
	l := newTrail(t)
	l.write(entry("a", "k1", "1", 0), entry("b", "k2", "2", time.Minute), entry("a", "k2", "3", time.Hour), entry("", "bootstrap", "4", 2*time.Hour), entry("a", "k1", "5", 3*time.Hour))
	tests := []struct {
		name string
		q    Query
		want []string
	}{
		{"tenant", Query{Tenant: "a"}, []string{"5", "3", "1"}},
		{"nobody", Query{Tenant: "c"}, nil},
		{"ownerless too", Query{Tenant: "b", Ownerless: true}, []string{"4", "2"}},
		{"actor", Query{Tenant: "a", Actor: "k1"}, []string{"5", "1"}},
		{"another tenant's actor", Query{Tenant: "b", Actor: "k1"}, nil},
		{"action", Query{Tenant: "a", Action: "POST /v1/webhooks"}, []string{"5", "3", "1"}},
		{"no such action", Query{Tenant: "a", Action: "POST"}, nil},
		{"uid", Query{Tenant: "a", Object: "3"}, []string{"3"}},
		{"id", Query{Tenant: "a", Object: "id-3"}, []string{"3"}},
		{"another tenant's object", Query{Tenant: "a", Object: "2"}, nil},
		{"from", Query{Tenant: "a", From: monday.Add(time.Hour)}, []string{"5", "3"}},
		{"to", Query{Tenant: "a", To: monday.Add(time.Hour)}, []string{"1"}},
		{"between", Query{Tenant: "a", From: monday.Add(time.Second), To: monday.Add(3 * time.Hour)}, []string{"3"}},
		{"later than everything", Query{Tenant: "a", From: monday.Add(24 * time.Hour)}, nil},
		{"earlier than everything", Query{Tenant: "a", To: monday}, nil},
		{"from before there were clocks", Query{Tenant: "a", From: time.Date(43, 1, 1, 0, 0, 0, 0, time.UTC)}, []string{"5", "3", "1"}},
		{"to a time before there were clocks", Query{Tenant: "a", To: time.Date(43, 1, 1, 0, 0, 0, 0, time.UTC)}, nil},
	}
	for _, tt := range tests {
		for _, limit := range []int{1, 2, 200} {
			t.Run(fmt.Sprint(tt.name, "/", limit), func(t *testing.T) {
				tt.q.Limit = limit
				require.Equal(t, tt.want, l.all(tt.q))
			})
		}
	}
}

func TestLog_EmptyTopic(t *testing.T) {
	page, err := newTrail(t).Read(t.Context(), Query{Tenant: "a", Limit: 10})
	require.NoError(t, err)
	require.Equal(t, Page{}, page)
}

func TestLog_WorkOfOneReadIsBounded(t *testing.T) {
	l := newTrail(t)
	const entries = scanOffsets + 3*chunkOffsets
	var records []*kgo.Record
	for i := range entries {
		rec, err := Record(l.topic, entry([]string{"many", "few"}[min(1, (entries-i)/entries)], "k", fmt.Sprint(i), time.Duration(i)*time.Second))
		require.NoError(t, err)
		records = append(records, rec)
	}
	require.NoError(t, l.client.ProduceSync(t.Context(), records...).FirstErr())
	page, err := l.Read(t.Context(), Query{Tenant: "few", Limit: 10})
	require.NoError(t, err)
	require.Empty(t, page.Entries)
	require.Equal(t, int64(entries-scanOffsets), page.Next, "a page that found nothing says where to go on")
	require.Equal(t, []string{"0"}, l.all(Query{Tenant: "few", Limit: 10}))
	require.Len(t, l.all(Query{Tenant: "many", Limit: 200}), entries-1)
}

// What was never committed is in no page, and markers and gaps do not end one.
func TestLog_TransactionsAndJunk(t *testing.T) {
	l := newTrail(t)
	writer, err := kgo.NewClient(kgo.SeedBrokers(l.seeds...), kgo.TransactionalID("w"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer writer.Close()
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		require.NoError(t, writer.BeginTransaction())
		rec, err := Record(l.topic, entry("a", "k", fmt.Sprint(i), time.Duration(i)*time.Second))
		require.NoError(t, err)
		require.NoError(t, writer.ProduceSync(t.Context(), rec).FirstErr())
		require.NoError(t, writer.EndTransaction(t.Context(), end))
	}
	for _, junk := range []string{"", "null", "[]", `{"v":2}`, "\xff"} {
		require.NoError(t, l.client.ProduceSync(t.Context(), &kgo.Record{Topic: l.topic, Value: []byte(junk)}).FirstErr())
	}
	require.Equal(t, []string{"2", "0"}, l.all(Query{Tenant: "a", Limit: 1}))
	require.Equal(t, []string{"2", "0"}, l.all(Query{Tenant: "a", Limit: 10}))
}

func TestLog_WriteSaysWhoActs(t *testing.T) {
	l := newTrail(t)
	call := Call{Actor: "key_1", Action: "DELETE /v1/jobs/{id}", Address: "192.0.2.1", RequestID: "r1"}
	require.NoError(t, l.Write(NewContext(t.Context(), call), Entry{Tenant: "a", Kind: "job", ID: "j", Outcome: Requested, Call: Call{Actor: "forged"}}))
	require.NoError(t, l.Write(t.Context(), Entry{Tenant: "a", Kind: "job", ID: "j", Outcome: Requested}))
	page, err := l.Read(t.Context(), Query{Tenant: "a", Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Entries, 2)
	require.Equal(t, ActorRelay, page.Entries[0].Actor)
	require.Equal(t, call, page.Entries[1].Call)
	require.WithinDuration(t, time.Now(), page.Entries[1].Time, time.Minute)
}

func TestLog_WriteFailsWithItsContext(t *testing.T) {
	l := newTrail(t)
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	require.Error(t, l.Write(ctx, Entry{}))
	_, err := l.Read(ctx, Query{Limit: 1})
	require.Error(t, err)
}

func TestLog_TopicMissing(t *testing.T) {
	l := newTrail(t)
	l.topic = "test.other"
	_, err := l.Read(t.Context(), Query{Limit: 1})
	require.ErrorContains(t, err, "relay topics apply")
}

func FuzzDecode(f *testing.F) {
	rec, err := Record("t", entry("a", "k", "u", 0))
	require.NoError(f, err)
	f.Add(rec.Value)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		e, err := Decode(value)
		if err != nil {
			require.ErrorIs(t, err, ErrBadEntry)
			return
		}
		again, err := Record("t", e)
		require.NoError(t, err)
		same, err := Decode(again.Value)
		require.NoError(t, err)
		require.Equal(t, e.UID, same.UID)
		require.True(t, e.Time.Equal(same.Time))
	})
}
