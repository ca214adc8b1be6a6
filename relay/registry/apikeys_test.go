package registry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func testAPIKey(uid, tenant string) *APIKey {
	return &APIKey{UID: uid, Tenant: tenant, DisplayName: "of " + tenant, Scopes: []string{"webhooks:read"}, Hash: "00"}
}

func TestAPIKey_IsKnownAndRevokedEverywhere(t *testing.T) {
	b := newBundle(t)
	one, other := b.start(), b.start()
	k, err := one.CreateAPIKey(b.ctx(), testAPIKey("key_a", "acme"))
	require.NoError(t, err)
	require.False(t, k.Created.IsZero())
	stored, ok := one.APIKey("key_a")
	require.True(t, ok)
	require.Equal(t, k, stored)
	require.Eventually(t, func() bool { _, ok := other.APIKey("key_a"); return ok }, patience, time.Millisecond)

	_, err = one.CreateAPIKey(b.ctx(), testAPIKey("key_a", "acme"))
	require.ErrorIs(t, err, ErrExists)
	for _, o := range []Owner{{Tenant: "other"}, {Unbound: true}, {Tenant: "other", Unbound: true}, {}} {
		require.ErrorIs(t, other.DeleteAPIKey(b.ctx(), o, "key_a"), ErrNotFound, "%+v", o)
	}
	require.NoError(t, other.DeleteAPIKey(b.ctx(), Owner{Tenant: "acme"}, "key_a"))
	_, ok = other.APIKey("key_a")
	require.False(t, ok)
	require.Eventually(t, func() bool { _, ok := one.APIKey("key_a"); return !ok }, time.Second, time.Millisecond,
		"a revoked key is refused everywhere within a second")
	require.ErrorIs(t, one.DeleteAPIKey(b.ctx(), Owner{Tenant: "acme"}, "key_a"), ErrNotFound)
}

func TestAPIKey_OwnersSeeTheirOwn(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	for uid, tenant := range map[string]string{"key_1": "acme", "key_2": "acme", "key_3": "other", "key_4": "", "key_5": "acme"} {
		_, err := r.CreateAPIKey(b.ctx(), testAPIKey(uid, tenant))
		require.NoError(t, err)
	}
	list := func(o Owner, limit int) (uids []string) {
		for after := ""; ; {
			page, next := r.APIKeys(o, after, limit)
			for _, k := range page {
				uids = append(uids, k.UID)
			}
			if after = next; next == "" {
				return uids
			}
		}
	}
	for _, limit := range []int{1, 2, 50} {
		require.Equal(t, []string{"key_1", "key_2", "key_5"}, list(Owner{Tenant: "acme"}, limit))
		require.Equal(t, []string{"key_1", "key_2", "key_4", "key_5"}, list(Owner{Tenant: "acme", Unbound: true}, limit))
		require.Equal(t, []string{"key_4"}, list(Owner{Unbound: true}, limit))
		require.Empty(t, list(Owner{Tenant: "nobody"}, limit))
	}

	// A restart has them from Redis, and without Redis from the topic.
	again := b.start()
	_, ok := again.APIKey("key_4")
	require.True(t, ok)
	b.redis.FlushAll()
	again = b.start()
	_, ok = again.APIKey("key_4")
	require.True(t, ok)
}

func TestAPIKey_IsMadeOncePerRequest(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	first, again, elsewhere := testAPIKey("key_1", "acme"), testAPIKey("key_2", "acme"), testAPIKey("key_3", "other")
	first.Request, again.Request, elsewhere.Request = "r", "r", "r"
	_, err := r.CreateAPIKey(b.ctx(), first)
	require.NoError(t, err)
	_, err = r.CreateAPIKey(b.ctx(), again)
	require.ErrorIs(t, err, ErrExists)
	_, err = r.CreateAPIKey(b.ctx(), elsewhere)
	require.NoError(t, err, "another tenant's request is another one")
	k, ok := r.APIKeyMadeBy(Owner{Tenant: "acme"}, "r")
	require.True(t, ok)
	require.Equal(t, "key_1", k.UID)
	_, ok = r.APIKeyMadeBy(Owner{Tenant: "acme"}, "")
	require.False(t, ok)
	require.NoError(t, r.DeleteAPIKey(b.ctx(), Owner{Tenant: "acme"}, "key_1"))
	_, err = r.CreateAPIKey(b.ctx(), again)
	require.NoError(t, err, "a request is forgotten with what it made")
}

func TestAPIKey_Refused(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	for _, k := range []*APIKey{{UID: "", Hash: "00"}, {UID: "a/b", Hash: "00"}, {UID: "a"}} {
		_, err := r.CreateAPIKey(b.ctx(), k)
		require.ErrorIs(t, err, ErrInvalid)
	}
}

func TestAPIKey_ExpiredAt(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	k := &APIKey{Expires: at}
	require.False(t, k.ExpiredAt(at.Add(-1)))
	require.True(t, k.ExpiredAt(at))
	require.True(t, k.ExpiredAt(at.Add(1)))
	require.False(t, (&APIKey{}).ExpiredAt(at), "a key without an end does not expire")
}

// A deleted webhook's request makes a new webhook, with a uid of its own: what was diverted or waits for the old one
// is never taken for the new one's.
func TestMadeBy_IsForgottenWithTheWebhook(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	w := testWebhook("a")
	w.Request = "digest"
	first := r.mustCreate(t, w)
	again := testWebhook("b")
	again.Request = "digest"
	_, err := r.CreateWebhook(b.ctx(), again)
	require.ErrorIs(t, err, ErrExists)
	found, ok := r.MadeBy("default", "digest")
	require.True(t, ok)
	require.Equal(t, first.Webhook.UID, found.Webhook.UID)
	for _, tt := range [][2]string{{"other", "digest"}, {"default", "another"}, {"default", ""}} {
		_, ok = r.MadeBy(tt[0], tt[1])
		require.False(t, ok, "%v", tt)
	}
	require.NoError(t, r.DeleteWebhook(b.ctx(), "default", first.Webhook.UID, 0))
	_, ok = r.MadeBy("default", "digest")
	require.False(t, ok)
	second := r.mustCreate(t, w)
	require.NotEqual(t, first.Webhook.UID, second.Webhook.UID)
}
