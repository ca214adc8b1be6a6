package registry

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// logBuffer collects log lines from several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// meta is the copy's meta hash, nil when there is none.
func (b *bundle) meta(r *instance) map[string]string {
	fields := map[string]string{}
	names, err := b.redis.HKeys(r.cache.keys.meta)
	if err != nil {
		return nil
	}
	for _, name := range names {
		fields[name] = b.redis.HGet(r.cache.keys.meta, name)
	}
	return fields
}

// fill makes a registry with three webhooks, an integration and a suspension, and stops it when Redis has them.
func (b *bundle) fill() *instance {
	b.t.Helper()
	r := b.start()
	_, err := r.PutIntegration(b.ctx(), testIntegration("crm"), 0)
	require.NoError(b.t, err)
	for _, id := range []string{"a", "b", "c", "deleted"} {
		w := testWebhook(id)
		w.Integration, w.URL = "crm", ""
		r.mustCreate(b.t, w)
	}
	suspended, _ := r.Find("default", "b")
	_, err = r.Suspend(b.ctx(), suspended.Webhook.UID, "gone", "")
	require.NoError(b.t, err)
	deleted, _ := r.Find("default", "deleted")
	require.NoError(b.t, r.DeleteWebhook(b.ctx(), "default", deleted.Webhook.UID, 0))
	b.cached(r)
	r.stop()
	return r
}

func (b *bundle) checkFilled(r *instance, source Source) {
	b.t.Helper()
	require.Equal(b.t, source, r.Status().Source)
	require.Equal(b.t, 3, r.Count())
	v, err := r.Find("default", "b")
	require.NoError(b.t, err)
	require.NotNil(b.t, v.Integration)
	require.True(b.t, v.Suspension.Active)
	v, err = r.Find("default", "a")
	require.NoError(b.t, err)
	require.Nil(b.t, v.Suspension)
}

func TestCache_RestartFromRedis(t *testing.T) {
	b := newBundle(t)
	b.fill()
	told := map[string]Change{}
	r := b.start(func(r *Registry) { r.OnChange(func(c Change) { told[c.UID] = c }) })
	b.checkFilled(r, SourceRedis)
	require.Len(t, told, 3, "the callbacks are told of what was loaded")
	for uid, c := range told {
		v, _ := r.View(uid)
		require.Equal(t, v.Integration, c.Integration)
		require.Equal(t, v.Suspension, c.Suspension)
	}
	require.Zero(t, counted(t, r.metrics.cacheRebuilds.WithLabelValues(resultDone)), "what is good is not rebuilt")

	// What happens while a process is away is read from the topic.
	r.mustCreate(t, testWebhook("d"))
	late := b.start()
	require.Equal(t, 4, late.Count())
	require.Equal(t, SourceRedis, late.Status().Source)
}

func TestCache_UnusableCopyIsReadFromTheTopicAndRepaired(t *testing.T) {
	for name, spoil := range map[string]func(b *bundle, meta string, records string){
		"flushed":             func(b *bundle, _, _ string) { b.redis.FlushAll() },
		"meta is garbage":     func(b *bundle, meta, _ string) { b.redis.Del(meta); _ = b.redis.Set(meta, "garbage") },
		"meta lacks a field":  func(b *bundle, meta, _ string) { b.redis.HDel(meta, "watermark") },
		"watermark garbage":   func(b *bundle, meta, _ string) { b.redis.HSet(meta, "watermark", "many") },
		"watermark ahead":     func(b *bundle, meta, _ string) { b.redis.HSet(meta, "watermark", "1000000") },
		"another topic":       func(b *bundle, meta, _ string) { b.redis.HSet(meta, "topic", strings.Repeat("0", 32)) },
		"records evicted":     func(b *bundle, _, records string) { b.redis.Del(records) },
		"records are garbage": func(b *bundle, _, records string) { b.redis.Del(records); _ = b.redis.Set(records, "garbage") },
		"older than tombstones": func(b *bundle, meta, _ string) {
			b.redis.HSet(meta, "updated", strconv.FormatInt(time.Now().Add(-relay.TombstoneRetention).UnixMilli(), 10))
		},
		"a record is missing": func(b *bundle, _, records string) {
			names, _ := b.redis.HKeys(records)
			b.redis.HDel(records, names[0])
		},
		"a record is added": func(b *bundle, _, records string) {
			b.redis.HSet(records, "webhook/default/wh_ghost", `{"v":1,"kind":"webhook","resource":{"uid":"wh_ghost","tenant":"default","id":"ghost"}}`)
		},
		"a record is damaged": func(b *bundle, _, records string) {
			names, _ := b.redis.HKeys(records)
			b.redis.HSet(records, names[0], "{")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t)
			filled := b.fill()
			spoil(b, filled.cache.keys.meta, filled.cache.keys.records+b.meta(filled)["gen"])
			r := b.start()
			b.checkFilled(r, SourceTopic)

			b.cached(r)
			r.stop()
			b.checkFilled(b.start(), SourceRedis)
		})
	}
}

func TestCache_LostWhileRunning(t *testing.T) {
	for name, spoil := range map[string]func(b *bundle, meta string, records string){
		"flushed":         func(b *bundle, _, _ string) { b.redis.FlushAll() },
		"records evicted": func(b *bundle, _, records string) { b.redis.Del(records) },
		"garbage":         func(b *bundle, meta, _ string) { b.redis.Del(meta); _ = b.redis.Set(meta, "garbage") },
		"behind":          func(b *bundle, meta, _ string) { b.redis.HSet(meta, "watermark", "1") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t)
			r := b.start()
			r.mustCreate(t, testWebhook("a"))
			b.cached(r)
			gen := b.meta(r)["gen"]
			spoil(b, r.cache.keys.meta, r.cache.keys.records+gen)
			require.Equal(t, 1, r.Count(), "never shows as nobody subscribed")
			eventually(t, "repaired", func() bool {
				meta := b.meta(r)
				names, err := b.redis.HKeys(r.cache.keys.records + meta["gen"])
				return err == nil && len(names) == 1 && meta["watermark"] == strconv.FormatInt(r.Applied(), 10)
			})
			r.mustCreate(t, testWebhook("b"))
			b.cached(r)
			if b.meta(r)["gen"] != gen {
				require.False(t, b.redis.Exists(r.cache.keys.records+gen), "the old generation is gone")
			}
			r.stop()
			restarted := b.start()
			require.Equal(t, SourceRedis, restarted.Status().Source)
			require.Equal(t, 2, restarted.Count())
		})
	}
}

func TestCache_RedisDownDuringWrites(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	r.mustCreate(t, testWebhook("a"))
	b.cached(r)
	b.redis.Close()
	for i := range 5 {
		r.mustCreate(t, testWebhook(fmt.Sprint("down", i)))
	}
	eventually(t, "noticed", func() bool { return !r.cache.healthy() })
	require.True(t, r.Fresh(), "freshness is Kafka's to say")

	require.NoError(t, b.redis.Restart())
	b.cached(r)
	eventually(t, "healthy", r.cache.healthy)
	r.stop()
	restarted := b.start()
	require.Equal(t, SourceRedis, restarted.Status().Source)
	require.Equal(t, 6, restarted.Count())
}

func TestCache_WrittenThrough(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	r.mustCreate(t, testWebhook("a"))
	b.cached(r)
	v := r.mustCreate(t, testWebhook("b"))
	require.NotEmpty(t, b.redis.HGet(r.cache.keys.records+b.meta(r)["gen"], webhookKey(v.Webhook).String()), "there when the write is answered")
}

func TestCache_StartsWithoutRedis(t *testing.T) {
	b := newBundle(t)
	b.fill()
	b.redis.Close()
	b.checkFilled(b.start(), SourceTopic)
}

func TestCache_SeveralProcessesShareOneCopy(t *testing.T) {
	b := newBundle(t)
	registries := []*instance{b.start(), b.start(), b.start()}
	for i := range 9 {
		registries[i%3].mustCreate(t, testWebhook(fmt.Sprint("id", i)))
	}
	for _, r := range registries {
		require.NoError(t, r.Confirm(b.ctx()))
		b.cached(r)
	}
	meta := b.meta(registries[0])
	names, err := b.redis.HKeys(registries[0].cache.keys.records + meta["gen"])
	require.NoError(t, err)
	require.Len(t, names, 9)
	require.Equal(t, "9", meta["count"])
}

func TestCache_NeverReplacesAHigherOffset(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	v := r.mustCreate(t, testWebhook("a"))
	b.cached(r)
	before := b.meta(r)
	key := webhookKey(v.Webhook).String()
	field := r.cache.keys.records + before["gen"]
	value := b.redis.HGet(field, key)

	for _, kind := range []opKind{opPut, opTombstone, opQuarantine} {
		outcome, watermark, err := r.cache.apply(b.ctx(), cacheBatch{from: 0, to: 1, ops: []cacheOp{{kind: kind, key: key, value: []byte("old")}}})
		require.NoError(t, err)
		require.Equal(t, applyDone, outcome)
		require.Equal(t, before["watermark"], strconv.FormatInt(watermark, 10))
	}
	require.Equal(t, value, b.redis.HGet(field, key))
	require.Equal(t, before["count"], b.meta(r)["count"])

	outcome, _, err := r.cache.apply(b.ctx(), cacheBatch{from: 1 << 40, to: 1<<40 + 1})
	require.NoError(t, err)
	require.Equal(t, applyGap, outcome)
}

func TestCache_QueueIsBounded(t *testing.T) {
	c := newBundle(t).make().cache
	c.startAt(0, SourceRedis)
	ops := make([]cacheOp, queueOps)
	c.add(0, queueOps, ops)
	require.False(t, c.needsRebuild())
	c.add(queueOps, queueOps+1, ops[:1])
	require.True(t, c.needsRebuild())
	require.Empty(t, c.queue)
	c.done(cacheBatch{ops: ops[:5], to: 5}, 5) // a batch that was under way
	require.Equal(t, int64(queueOps+1), c.from)

	c.startAt(0, SourceRedis)
	c.add(0, 1, []cacheOp{{value: make([]byte, queueBytes+1)}})
	require.True(t, c.needsRebuild(), "by bytes too")
}

func TestCache_RecordThatOnlyOthersCanReadSurvivesInIt(t *testing.T) {
	b := newBundle(t)
	both, err := ParseKeyring("k2:" + GenerateMasterKey())
	require.NoError(t, err)
	both.keys = append(both.keys, b.keys.keys...)
	withBoth := func(r *Registry) { r.opts.Keys = both }

	// Only the process without the new key writes to this Redis.
	without := b.start()
	foreign := b.start(withBoth, func(r *Registry) { r.cache.keys = cacheKeysFor("elsewhere:") })
	w := testWebhook("a")
	w.Auth = catalog.Auth{Type: catalog.AuthBearer, Token: catalog.NewSecret("first")}
	v := without.mustCreate(t, w)
	_, err = foreign.UpdateWebhook(b.ctx(), "default", v.Webhook.UID, 1, func(w *catalog.Webhook) error {
		w.Auth.Token = catalog.NewSecret("second")
		return nil
	})
	require.NoError(t, err)
	eventually(t, "held back", func() bool { return without.Status().Quarantined == 1 })
	b.cached(without)
	without.stop()
	foreign.stop()

	r := b.start(withBoth)
	require.Equal(t, SourceRedis, r.Status().Source)
	got, _ := r.View(v.Webhook.UID)
	require.Equal(t, "second", got.Webhook.Auth.Token.Reveal())
	require.Zero(t, r.Status().Quarantined)
}

func TestJudgeCopy(t *testing.T) {
	at := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	topic := kadm.TopicID{1}
	within := bounds{topic: topic, first: 10, end: 20, now: at}
	good := copyMeta{gen: "g", topic: hex.EncodeToString(topic[:]), watermark: 15, updated: at.Add(-time.Hour)}
	for name, tc := range map[string]struct {
		change func(*copyMeta)
		want   copyVerdict
	}{
		"good":                  {func(*copyMeta) {}, copyUsable},
		"at the end":            {func(m *copyMeta) { m.watermark = 20 }, copyUsable},
		"at the start":          {func(m *copyMeta) { m.watermark = 10 }, copyUsable},
		"behind the end":        {func(m *copyMeta) { m.watermark = 21 }, copyOutside},
		"before the start":      {func(m *copyMeta) { m.watermark = 9 }, copyOutside},
		"another topic":         {func(m *copyMeta) { m.topic = "00" }, copyOfOtherTopic},
		"as old as allowed":     {func(m *copyMeta) { m.updated = at.Add(copyMargin - relay.TombstoneRetention) }, copyUsable},
		"older":                 {func(m *copyMeta) { m.updated = at.Add(copyMargin - relay.TombstoneRetention - 1) }, copyTooOld},
		"from a clock ahead":    {func(m *copyMeta) { m.updated = at.Add(time.Minute) }, copyUsable},
		"never known to be new": {func(m *copyMeta) { m.updated = time.UnixMilli(0) }, copyTooOld},
	} {
		m := good
		tc.change(&m)
		require.Equal(t, tc.want, judgeCopy(m, within), name)
	}
}
