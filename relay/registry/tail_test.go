package registry

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"eventrelay/catalog"
)

// blockFetch makes the topic unreadable until the handle is removed.
func (b *bundle) blockFetch() *kfake.FaultHandle {
	return b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.KafkaStorageError, Count: -1})
}

func TestTail_ColdStartGate(t *testing.T) {
	b := newBundle(t)
	writer := b.start()
	writer.mustCreate(t, testWebhook("a"))
	writer.stop()
	b.redis.FlushAll()

	blocked := b.blockFetch()
	r := b.run(b.make())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.WaitComplete(ctx), context.DeadlineExceeded)
	require.False(t, r.Fresh())
	require.False(t, r.Status().Complete)

	blocked.Remove()
	require.NoError(t, r.WaitComplete(b.ctx()))
	require.Equal(t, 1, r.Count(), "complete means that everything is there")
	status := r.Status()
	require.True(t, status.Complete)
	require.True(t, status.Fresh)
	require.Equal(t, SourceTopic, status.Source)
	require.GreaterOrEqual(t, status.Applied, status.End)
}

func TestTail_WaitsForTheTopic(t *testing.T) {
	b := newBundle(t)
	admin := kadm.NewClient(b.kafka)
	_, err := admin.DeleteTopic(b.ctx(), testTopics.Webhooks())
	require.NoError(t, err)
	r := b.run(b.make())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.WaitComplete(ctx), context.DeadlineExceeded)
	b.createTopic()
	require.NoError(t, r.WaitComplete(b.ctx()))
}

func TestTail_StaleWhenItCannotRead(t *testing.T) {
	for name, key := range map[string]kmsg.Key{"fetch": kmsg.Fetch, "end offset": kmsg.ListOffsets} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t)
			r := b.start(func(r *Registry) { r.opts.FreshFor = 300 * time.Millisecond })
			r.mustCreate(t, testWebhook("a"))
			require.True(t, r.Fresh())

			blocked := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: kerr.KafkaStorageError, Count: -1})
			b.produce("webhook/default/wh_x", `{"v":1,"kind":"webhook","resource":{"uid":"wh_x","tenant":"default","id":"x"}}`)
			eventually(t, "stale", func() bool { return !r.Fresh() })
			require.True(t, r.Status().Complete, "stale is not incomplete")
			_, err := r.Find("default", "a")
			require.NoError(t, err, "the snapshot stays")

			blocked.Remove()
			eventually(t, "fresh again", r.Fresh)
			eventually(t, "caught up", func() bool { return r.Count() == 2 })
		})
	}
}

func TestTail_BarrierWhenNothingArrives(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	r.mustCreate(t, testWebhook("a"))
	blocked := b.blockFetch()
	b.produce("later/default/x", "of a kind to come")
	eventually(t, "barrier", func() bool { return counted(t, r.metrics.barriers) > 0 })
	blocked.Remove()
	require.NoError(t, r.Confirm(b.ctx()))
	require.Equal(t, 1, r.Count())
	require.Zero(t, r.Status().Quarantined)
}

func TestTail_SeesOtherInstancesWritesWithinASecond(t *testing.T) {
	b := newBundle(t)
	one := b.start()
	var told atomic.Int64
	two := b.start(func(r *Registry) { r.OnChange(func(Change) { told.Add(1) }) })
	began := time.Now()
	one.mustCreate(t, testWebhook("a"))
	eventually(t, "told", func() bool { return told.Load() == 1 })
	require.Less(t, time.Since(began), time.Second)
	require.Equal(t, 1, two.Count())
}

func TestTail_TellsChangesInOrderBeforeApplied(t *testing.T) {
	b := newBundle(t)
	type told struct {
		id      string
		applied int64
	}
	var tells []told
	r := b.start(func(r *Registry) {
		r.OnChange(func(c Change) {
			id := "deleted"
			if c.Webhook != nil {
				id = c.Webhook.ID
			}
			tells = append(tells, told{id, r.Applied() - c.Offset})
		})
	})
	uid := r.mustCreate(t, testWebhook("a")).Webhook.UID
	_, err := r.UpdateWebhook(b.ctx(), "default", uid, 0, func(w *catalog.Webhook) error { w.ID = "b"; return nil })
	require.NoError(t, err)
	require.NoError(t, r.DeleteWebhook(b.ctx(), "default", uid, 0))
	require.Len(t, tells, 3)
	for i, want := range []string{"a", "b", "deleted"} {
		require.Equal(t, want, tells[i].id)
		require.LessOrEqual(t, tells[i].applied, int64(0), "applied is still at or below the change")
	}
}

func TestTail_DamagedRecordKeepsTheLastGoodVersion(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	damaged := r.mustCreate(t, testWebhook("damaged"))
	key := webhookKey(damaged.Webhook).String()
	r.mustCreate(t, testWebhook("other"))

	check := func(r *instance, source Source) {
		t.Helper()
		require.NoError(t, r.Confirm(b.ctx()))
		v, err := r.Find("default", "damaged")
		require.NoError(t, err)
		require.Equal(t, int64(1), v.Webhook.Revision)
		status := r.Status()
		require.Equal(t, 1, status.Quarantined)
		require.True(t, status.Fresh, "one bad record stays one")
		require.Equal(t, source, status.Source)
	}
	for _, value := range []string{"{", `{"v":99}`, `{"v":1,"kind":"webhook","resource":{"uid":"other"}}`} {
		b.produce(key, value)
		check(r, SourceTopic)
	}
	b.cached(r)
	r.stop()
	restarted := b.start()
	check(restarted, SourceRedis)
	restarted.stop()
	b.redis.FlushAll()
	restarted = b.start()
	check(restarted, SourceTopic)
	eventually(t, "rebuilt", func() bool { return b.redis.Exists(restarted.cache.keys.meta) })
	restarted.stop()
	restarted = b.start()
	check(restarted, SourceRedis)

	_, err := restarted.UpdateWebhook(b.ctx(), "default", damaged.Webhook.UID, 1, func(*catalog.Webhook) error { return nil })
	require.NoError(t, err)
	require.Zero(t, restarted.Status().Quarantined, "the next good write lifts it")
}

func TestTail_KeysOfNoOneAndUnknownKinds(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	b.produce("apikey/default/k1", "not JSON at all")
	b.produce("apikey/default/k1", "")
	require.NoError(t, r.Confirm(b.ctx()))
	require.Zero(t, r.Status().Quarantined, "an unknown kind is somebody else's")
	b.produce("nonsense", "x")
	require.NoError(t, r.Confirm(b.ctx()))
	require.Equal(t, 1, r.Status().Quarantined)
}

func TestTail_MissingMasterKeyIsNotNobodySubscribed(t *testing.T) {
	b := newBundle(t)
	old := b.start()
	secret := testWebhook("secret")
	secret.Auth = catalog.Auth{Type: catalog.AuthBearer, Token: catalog.NewSecret("hunter")}
	v := old.mustCreate(t, secret)

	foreign, err := ParseKeyring("k2:" + GenerateMasterKey())
	require.NoError(t, err)
	r := b.run(b.make(func(r *Registry) { r.opts.Keys = foreign }))
	err = r.WaitComplete(b.ctx())
	var missing *MissingKeyError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "k1", missing.KeyID)
	require.ErrorContains(t, err, "RELAY_MASTER_KEY")
	require.False(t, r.Fresh())
	require.Equal(t, []string{"k1"}, r.Status().MissingKeys)

	require.NoError(t, old.DeleteWebhook(b.ctx(), "default", v.Webhook.UID, 0))
	eventually(t, "complete", func() bool { return r.Status().Complete })
	require.NoError(t, r.WaitComplete(b.ctx()), "the record that needed the key is gone")
	eventually(t, "fresh", r.Fresh)

	old.mustCreate(t, secret)
	eventually(t, "a record that only others can open", func() bool { return !r.Fresh() })
	require.True(t, old.Fresh())
}

func TestTail_RecreatedTopic(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	r.mustCreate(t, testWebhook("a"))
	_, err := kadm.NewClient(b.kafka).DeleteTopic(b.ctx(), testTopics.Webhooks())
	require.NoError(t, err)
	b.createTopic()
	eventually(t, "noticed", func() bool { return r.Status().Err != nil })
	require.ErrorIs(t, r.Status().Err, ErrTopicReplaced)
	require.False(t, r.Fresh())
	require.Equal(t, 1, r.Count(), "the snapshot stays")
	_, err = r.CreateWebhook(b.ctx(), testWebhook("b"))
	require.ErrorIs(t, err, ErrTopicReplaced)
	r.stop()

	restarted := b.start()
	require.Equal(t, SourceTopic, restarted.Status().Source, "a copy of another topic is not used")
	require.Zero(t, restarted.Count())
	restarted.mustCreate(t, testWebhook("b"))
}

func TestTail_TwoPartitionsAreRefused(t *testing.T) {
	b := newBundle(t)
	_, err := kadm.NewClient(b.kafka).CreatePartitions(b.ctx(), 1, testTopics.Webhooks())
	require.NoError(t, err)
	r := b.run(b.make())
	require.Never(t, func() bool { return r.Status().Complete }, 50*time.Millisecond, 10*time.Millisecond)
	<-r.connected
	_, err = r.askTopicID(b.ctx())
	require.ErrorIs(t, err, errPartitions)
}

func TestRegistry_SecretsAtRestAndInLogs(t *testing.T) {
	b := newBundle(t)
	logs := &logBuffer{}
	r := b.start(func(r *Registry) { r.log = logs.logger(); r.keyless.log = r.log; r.cache.failing.log = r.log })
	w := fullWebhook()
	w.UID = ""
	v := r.mustCreate(t, w)
	in := testIntegration("crm")
	in.Auth = catalog.Auth{Type: catalog.AuthBasic, Username: "u", Password: catalog.NewSecret("hunter-integration")}
	_, err := r.PutIntegration(b.ctx(), in, 0)
	require.NoError(t, err)
	key := webhookKey(v.Webhook).String()
	b.produce(key, "{hunter-damaged")
	require.NoError(t, r.Confirm(b.ctx()))
	b.cached(r)

	require.NoError(t, r.replay(b.ctx(), r.Applied(), func(_ context.Context, records []*kgo.Record) error {
		for _, rec := range records {
			if !strings.Contains(string(rec.Value), "damaged") {
				require.NotContains(t, string(rec.Value), "hunter")
			}
		}
		return nil
	}))
	fields := 0
	for _, redisKey := range b.redis.Keys() {
		if !strings.Contains(redisKey, "records:") {
			continue
		}
		names, err := b.redis.HKeys(redisKey)
		require.NoError(t, err)
		for _, name := range names {
			fields++
			if !strings.HasPrefix(name, quarantinePrefix) {
				require.NotContains(t, b.redis.HGet(redisKey, name), "hunter")
			}
		}
	}
	require.Equal(t, 3, fields)
	require.NotContains(t, logs.String(), "hunter")
	require.Contains(t, logs.String(), "registry_record_quarantined")

	again, err := r.Find("default", w.ID)
	require.NoError(t, err)
	require.Equal(t, "hunter-token", again.Webhook.Auth.Token.Reveal(), "and still there")
	require.Equal(t, "hunter-office", again.Webhook.Overrides[0].Auth.Password.Reveal())
}
