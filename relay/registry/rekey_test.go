package registry

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func ringOf(t testing.TB, keys ...string) *Keyring {
	t.Helper()
	ring, err := ParseKeyring(strings.Join(keys, ","))
	require.NoError(t, err)
	return ring
}

func withKeys(ring *Keyring) option { return func(r *Registry) { r.opts.Keys = ring } }

func rewrapping(r *Registry) { r.opts.Rewrap, r.timing.sealEvery = true, 20*time.Millisecond }

// notes is a log that a test reads while it is written.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

func logTo(n *notes) option {
	return func(r *Registry) {
		r.log = slog.New(slog.NewTextHandler(n, nil))
		r.keyless.log, r.cache.failing.log = r.log, r.log
	}
}

func signedWebhook(id string) *catalog.Webhook {
	w := testWebhook(id)
	w.Signing = catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{{Value: catalog.NewSecret("secret of " + id), Encoding: catalog.SecretRaw}}}
	return w
}

// underOldKey is the metric's value.
func underOldKey(r *Registry) int {
	stale, known := r.stale.count()
	if !known {
		return -1
	}
	return stale
}

// TestRotation_OfTheMasterKeyWhileServing: two registries take a new master key while webhooks are read and written;
// one rewraps; every read sees the right secrets and revisions; the old key goes; everything opens after a restart,
// from Redis and from Kafka alone.
func TestRotation_OfTheMasterKeyWhileServing(t *testing.T) {
	b := newBundle(t)
	oldKey, newKey := "old:"+GenerateMasterKey(), "new:"+GenerateMasterKey()
	var log notes
	admin := b.start(withKeys(ringOf(t, oldKey)), rewrapping, logTo(&log))
	reader := b.start(withKeys(ringOf(t, oldKey)))

	const webhooks = 230 // three chunks
	revisions := map[string]int64{}
	for i := range webhooks {
		v := admin.mustCreate(t, signedWebhook(fmt.Sprint("hook", i)))
		revisions[v.Webhook.UID] = 1
	}
	_, err := admin.PutIntegration(b.ctx(), &catalog.Integration{Name: "crm", Tenant: catalog.DefaultTenant, URL: "https://example.com/",
		Auth: catalog.Auth{Type: catalog.AuthBearer, Token: catalog.NewSecret("token of crm")}}, 0)
	require.NoError(t, err)
	receeve := testWebhook("receeve")
	receeve.Format = catalog.FormatReceeve
	admin.mustCreate(t, receeve)
	pair, _ := admin.PublicKey(catalog.DefaultTenant)
	require.Zero(t, underOldKey(admin.Registry))

	// Read all the time, from both.
	quit, wrong := make(chan struct{}), atomic.Pointer[string]{}
	var load sync.WaitGroup
	for _, r := range []*instance{admin, reader} {
		require.NoError(t, r.Confirm(b.ctx()))
		load.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				for uid, revision := range revisions {
					v, ok := r.View(uid)
					if !ok || v.Webhook.Signing.Secrets[0].Value.Reveal() != "secret of "+v.Webhook.ID || v.Webhook.Revision < revision {
						text := fmt.Sprintf("%s: %+v", uid, v.Webhook)
						wrong.Store(&text)
						return
					}
				}
				if !r.Fresh() {
					text := "not fresh"
					wrong.Store(&text)
				}
			}
		})
	}

	// First the new key comes behind the old one everywhere, then in front of it.
	for _, r := range []*instance{reader, admin} {
		require.NoError(t, r.SetKeys(ringOf(t, oldKey, newKey)))
	}
	for _, r := range []*instance{reader, admin} {
		require.NoError(t, r.SetKeys(ringOf(t, newKey, oldKey)))
	}
	written := admin.mustCreate(t, signedWebhook("meanwhile"))
	for _, r := range []*instance{admin, reader} {
		eventually(t, "nothing is left under the old key", func() bool { return underOldKey(r.Registry) == 0 })
	}
	close(quit)
	load.Wait()
	if text := wrong.Load(); text != nil {
		t.Fatal(*text)
	}
	eventually(t, "the operator is told", func() bool { return strings.Contains(log.String(), "registry_records_rewrapped") })
	require.Contains(t, log.String(), "master_key=new")
	b.cached(admin)
	admin.stop()
	reader.stop()

	for source, empty := range map[Source]func(){SourceRedis: func() {}, SourceTopic: b.redis.FlushAll} {
		empty()
		again := b.start(withKeys(ringOf(t, newKey)))
		require.Equal(t, source, again.Status().Source)
		require.Equal(t, webhooks+2, again.Count())
		require.Zero(t, again.Status().Quarantined)
		for uid := range revisions {
			v, ok := again.View(uid)
			require.True(t, ok)
			require.Equal(t, int64(1), v.Webhook.Revision, "rewrapping is no edit")
			require.Equal(t, "secret of "+v.Webhook.ID, v.Webhook.Signing.Secrets[0].Value.Reveal())
		}
		v, _ := again.View(written.Webhook.UID)
		require.Equal(t, written.Webhook.Updated, v.Webhook.Updated)
		in, _ := again.Integration(catalog.DefaultTenant, "crm")
		require.Equal(t, "token of crm", in.Auth.Token.Reveal())
		same, _ := again.PublicKey(catalog.DefaultTenant)
		require.Equal(t, pair, same)
		b.cached(again)
		again.stop()
	}
}

// TestRotation_IsResumed: a process that starts with records under an old key, from Redis or from Kafka, brings them
// under the new one; it need not have seen the keys change.
func TestRotation_IsResumed(t *testing.T) {
	for _, source := range []Source{SourceRedis, SourceTopic} {
		t.Run(string(source), func(t *testing.T) {
			b := newBundle(t)
			oldKey, newKey := "old:"+GenerateMasterKey(), "new:"+GenerateMasterKey()
			first := b.start(withKeys(ringOf(t, oldKey)))
			v := first.mustCreate(t, signedWebhook("a"))
			first.mustCreate(t, signedWebhook("gone"))
			gone, err := first.Find(catalog.DefaultTenant, "gone")
			require.NoError(t, err)
			require.NoError(t, first.DeleteWebhook(b.ctx(), catalog.DefaultTenant, gone.Webhook.UID, 0))
			b.cached(first)
			first.stop()
			if source == SourceTopic {
				b.redis.FlushAll()
			}

			idle := b.start(withKeys(ringOf(t, newKey, oldKey)), func(r *Registry) { r.timing.sealEvery = 20 * time.Millisecond })
			require.Equal(t, source, idle.Status().Source)
			eventually(t, "counted", func() bool { return underOldKey(idle.Registry) == 1 })
			second := b.start(withKeys(ringOf(t, newKey, oldKey)), rewrapping)
			eventually(t, "done", func() bool { return underOldKey(second.Registry) == 0 && underOldKey(idle.Registry) == 0 })
			before := second.Applied()
			require.NoError(t, second.rewrapAll(b.ctx()), "once more changes nothing")
			after, ok := second.View(v.Webhook.UID)
			require.True(t, ok)
			require.Equal(t, v.Webhook.Revision, after.Webhook.Revision)
			require.LessOrEqual(t, second.Applied()-before, int64(1), "nothing but the barrier")
			require.Equal(t, 1, second.Count())
		})
	}
}

// A record that nobody here has the key for names the key, holds the snapshot back, and is applied as soon as the key
// is there, without a restart.
func TestSetKeys_AppliesWhatWaitedForAKey(t *testing.T) {
	b := newBundle(t)
	oldKey, newKey := "old:"+GenerateMasterKey(), "2026-11:"+GenerateMasterKey()
	ahead := b.start(withKeys(ringOf(t, newKey, oldKey)))
	var log notes
	var changes atomic.Int64
	behind := b.start(withKeys(ringOf(t, oldKey)), logTo(&log), func(r *Registry) { r.OnChange(func(Change) { changes.Add(1) }) })

	v := ahead.mustCreate(t, signedWebhook("a"))
	eventually(t, "held", func() bool { return behind.Status().Quarantined == 1 && !behind.Fresh() })
	require.Equal(t, []string{"2026-11"}, behind.Status().MissingKeys)
	require.Contains(t, log.String(), `\"2026-11\"`)
	require.Contains(t, log.String(), "RELAY_MASTER_KEY")

	require.NoError(t, behind.SetKeys(ringOf(t, oldKey, newKey)))
	eventually(t, "applied", func() bool {
		at, ok := behind.View(v.Webhook.UID)
		return ok && behind.Fresh() && at.Webhook.Signing.Secrets[0].Value.Reveal() == "secret of a"
	})
	require.EqualValues(t, 1, changes.Load(), "the matcher is told")
	require.Zero(t, behind.Status().Quarantined)
}

func TestSetKeys_KeepsAKeyThatIsInUse(t *testing.T) {
	b := newBundle(t)
	oldKey, newKey, other := "old:"+GenerateMasterKey(), "new:"+GenerateMasterKey(), "other:"+GenerateMasterKey()
	r := b.start(withKeys(ringOf(t, oldKey)))
	v := r.mustCreate(t, signedWebhook("a"))
	err := r.SetKeys(ringOf(t, newKey))
	require.ErrorIs(t, err, ErrKeyInUse)
	require.ErrorContains(t, err, `"old"`)
	require.NoError(t, r.SetKeys(ringOf(t, newKey, oldKey)))
	require.ErrorIs(t, r.SetKeys(ringOf(t, newKey)), ErrKeyInUse, "still counting, or one record left")
	require.ErrorIs(t, r.SetKeys(ringOf(t, oldKey)), ErrKeyInUse, "the new key may be in use already")
	require.NoError(t, r.SetKeys(ringOf(t, newKey, other, oldKey)))
	require.NoError(t, r.SetKeys(ringOf(t, newKey, oldKey, other)))

	second := b.start(withKeys(ringOf(t, newKey, oldKey)), rewrapping)
	eventually(t, "done", func() bool { return underOldKey(r.Registry) == 0 && underOldKey(second.Registry) == 0 })
	require.NoError(t, r.SetKeys(ringOf(t, newKey)))
	_, err = r.UpdateWebhook(b.ctx(), catalog.DefaultTenant, v.Webhook.UID, 1, func(*catalog.Webhook) error { return nil })
	require.NoError(t, err, "the revision is the one from before")
}

func TestKeyring_RewrapValueChangesNothingButTheEnvelope(t *testing.T) {
	oldKey, newKey := "old:"+GenerateMasterKey(), "new:"+GenerateMasterKey()
	was, both, now := ringOf(t, oldKey), ringOf(t, newKey, oldKey), ringOf(t, newKey)
	w := signedWebhook("a")
	w.UID = "wh_1"
	key := webhookKey(w)
	value, err := encodeRecord(was, key, w)
	require.NoError(t, err)
	// A later version adds members around what this one knows.
	value = bytes.Replace(value, []byte(`{"v":1,`), []byte(`{"later":{"sealed":1},"v":1,`), 1)
	require.True(t, both.isStale(string(value)))
	require.True(t, now.isStale(string(value)))
	require.False(t, was.isStale(string(value)))

	wrapped, err := both.rewrapValue(key.String(), value)
	require.NoError(t, err)
	require.False(t, now.isStale(string(wrapped)))
	prefix, _, _ := bytes.Cut(value, []byte(`"sealed":{`))
	require.True(t, bytes.HasPrefix(wrapped, prefix))
	res, err := decodeRecord(now, key.String(), string(wrapped))
	require.NoError(t, err)
	require.Equal(t, "secret of a", res.webhook.Signing.Secrets[0].Value.Reveal())

	for name, damage := range map[string]func() (string, []byte, *Keyring){
		"another record": func() (string, []byte, *Keyring) { return "webhook/default/wh_2", value, both },
		"no key":         func() (string, []byte, *Keyring) { return key.String(), value, now },
		"no envelope":    func() (string, []byte, *Keyring) { return key.String(), []byte(`{"v":1}`), both },
		"no JSON":        func() (string, []byte, *Keyring) { return key.String(), []byte(`x`), both },
	} {
		text, value, ring := damage()
		_, err := ring.rewrapValue(text, value)
		require.Error(t, err, name)
	}
}

func TestStaleRecords(t *testing.T) {
	s := newStaleRecords()
	count := func() int {
		n, known := s.count()
		if !known {
			return -1
		}
		return n
	}
	s.note("a", 1, true)
	s.note("b", 2, true)
	s.note("b", 3, false)
	require.Equal(t, 1, count())
	require.True(t, s.has("a", 1))
	s.note("a", 4, true)
	require.False(t, s.has("a", 1), "a later version")

	s.note("c", unknownOffset, true)
	require.Equal(t, -1, count())
	s.note("d", 9, true)   // applied while the census reads
	s.note("e", 10, false) // likewise
	s.counted(map[string]int64{"c": 5, "d": 6, "e": 7})
	require.Equal(t, 2, count())
	require.True(t, s.has("c", 5))
	require.True(t, s.has("d", 9))
	require.False(t, s.has("a", 4), "the census did not find it")

	s.recount()
	require.Equal(t, -1, count())
	s.counted(nil)
	require.Zero(t, count())
}

// The cost of knowing which records are stale, at start: per record.
func BenchmarkIsStale(b *testing.B) {
	ring, err := ParseKeyring("k:" + GenerateMasterKey())
	require.NoError(b, err)
	w := signedWebhook("a")
	w.UID = "wh_1"
	value, err := encodeRecord(ring, webhookKey(w), w)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if ring.isStale(string(value)) {
			b.Fatal("stale")
		}
	}
}

// Whatever stands in the topic is either refused or comes under the current key.
func FuzzRewrapValue(f *testing.F) {
	oldKey, newKey := "old:"+GenerateMasterKey(), "new:"+GenerateMasterKey()
	was, both := ringOf(f, oldKey), ringOf(f, newKey, oldKey)
	w := signedWebhook("a")
	w.UID = "wh_1"
	key := webhookKey(w)
	value, err := encodeRecord(was, key, w)
	require.NoError(f, err)
	f.Add(value)
	f.Add(value[:len(value)-20])
	for _, seed := range []string{``, `{}`, `{"sealed":null}`, `{"sealed":{"kek":"old"}}`, `{"sealed":[1]}`, `{"sealed":{"kek":1,"check":{}}}`, `x"sealed":{}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		stale := both.isStale(string(value))
		wrapped, err := both.rewrapValue(key.String(), value)
		if err == nil && stale {
			require.False(t, both.isStale(string(wrapped)))
		}
	})
}
