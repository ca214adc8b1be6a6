package registry

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// told collects what OnBreaker is told.
type told struct {
	mu        sync.Mutex
	endpoints []string
}

func (o *told) listen(r *Registry) {
	r.OnBreaker(func(endpoint string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.endpoints = append(o.endpoints, endpoint)
	})
}

func (o *told) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.endpoints
	o.endpoints = nil
	return taken
}

func TestRegistry_ForcedBreaker(t *testing.T) {
	b := newBundle(t)
	var here, there told
	r, sibling := b.start(here.listen), b.start(there.listen)
	ctx := b.ctx()
	overridden := testWebhook("a")
	overridden.Overrides = []catalog.Override{{Office: "north/2", URL: "https://example.com/north"}, {Office: "south"}}
	uid := r.mustCreate(t, overridden).Webhook.UID
	in, err := r.PutIntegration(ctx, testIntegration("crm"), IfAbsent)
	require.NoError(t, err)
	shared := testWebhook("b")
	shared.Integration, shared.URL = "crm", ""
	sharing := r.mustCreate(t, shared).Webhook.UID

	for _, none := range []string{"", "w", "w:", "w:nobody", "i:nobody", "w:" + uid + ":south", "w:" + uid + ":nowhere", "w:" + sharing, "i:" + uid, "x:" + uid} {
		_, err := r.ForceBreaker(ctx, "default", none, catalog.BreakerOpen, "")
		require.ErrorIs(t, err, ErrNotFound, none)
		require.ErrorIs(t, r.ResetBreaker(ctx, "default", none), ErrNotFound, none)
	}
	endpoints := []string{"i:" + in.UID, "w:" + uid, "w:" + uid + ":north/2"}
	for _, endpoint := range endpoints {
		_, err := r.ForceBreaker(ctx, "other", endpoint, catalog.BreakerOpen, "")
		require.ErrorIs(t, err, ErrNotFound, "another tenant's")
		_, err = r.ForceBreaker(ctx, "default", endpoint, "ajar", "")
		require.Error(t, err)
		forced, err := r.ForceBreaker(ctx, "default", endpoint, catalog.BreakerOpen, "maintenance")
		require.NoError(t, err)
		require.Equal(t, &catalog.ForcedBreaker{Endpoint: endpoint, Tenant: "default", State: catalog.BreakerOpen, Since: forced.Since, Reason: "maintenance"}, forced)
		require.Same(t, forced, r.ForcedBreaker(endpoint))
	}
	require.Equal(t, endpoints, here.take())
	applied := r.Applied()
	again, err := r.ForceBreaker(ctx, "default", endpoints[1], catalog.BreakerOpen, "again")
	require.NoError(t, err)
	require.Equal(t, "maintenance", again.Reason)
	require.Equal(t, applied, r.Applied(), "forcing twice writes nothing")

	require.NoError(t, sibling.WaitApplied(ctx, r.Applied()))
	require.Equal(t, endpoints, there.take(), "every instance follows")
	var listed []string
	for _, f := range sibling.ForcedBreakers("default") {
		listed = append(listed, f.Endpoint)
	}
	require.Equal(t, endpoints, listed)
	require.Empty(t, sibling.ForcedBreakers("other"))
	require.ErrorIs(t, r.ResetBreaker(ctx, "other", endpoints[1]), ErrNotFound)

	closed, err := sibling.ForceBreaker(ctx, "default", endpoints[1], catalog.BreakerClosed, "")
	require.NoError(t, err)
	require.Equal(t, catalog.BreakerClosed, closed.State)
	require.NoError(t, r.Confirm(ctx))
	require.NoError(t, r.ResetBreaker(ctx, "default", endpoints[1]))
	require.Nil(t, r.ForcedBreaker(endpoints[1]))
	here.take()
	require.NoError(t, r.ResetBreaker(ctx, "default", endpoints[1]))
	require.Equal(t, []string{endpoints[1]}, here.take(), "an automatic breaker is reset as well, on every instance")

	// A lost cache loses nothing, and a process that starts from it has everything.
	b.cached(r)
	require.Len(t, b.start().ForcedBreakers("default"), 2)
	b.redis.FlushAll()
	require.Len(t, b.start().ForcedBreakers("default"), 2)

	require.NoError(t, r.DeleteWebhook(ctx, "default", uid, 0))
	require.NoError(t, r.DeleteWebhook(ctx, "default", sharing, 0))
	require.Len(t, r.ForcedBreakers("default"), 1, "what is deleted takes its breakers along")
	require.NoError(t, r.DeleteIntegration(ctx, "default", "crm", 0))
	require.Empty(t, r.ForcedBreakers("default"))
}

// TestRegistry_ForcedBreakerOfAnEndpointThatIsGone: an edit may take an endpoint away; what was forced on it can still
// be reset.
func TestRegistry_ForcedBreakerOfAnEndpointThatIsGone(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	w := testWebhook("a")
	w.Overrides = []catalog.Override{{Office: "north", URL: "https://example.com/north"}}
	uid := r.mustCreate(t, w).Webhook.UID
	endpoint := "w:" + uid + ":north"
	_, err := r.ForceBreaker(b.ctx(), "default", endpoint, catalog.BreakerOpen, "")
	require.NoError(t, err)
	_, err = r.UpdateWebhook(b.ctx(), "default", uid, 0, func(w *catalog.Webhook) error { w.Overrides = nil; return nil })
	require.NoError(t, err)
	require.NoError(t, r.ResetBreaker(b.ctx(), "default", endpoint))
	require.Empty(t, r.ForcedBreakers("default"))
	require.ErrorIs(t, r.ResetBreaker(b.ctx(), "default", endpoint), ErrNotFound)
}

func TestDecodeRecord_BadBreakers(t *testing.T) {
	for name, c := range map[string]struct{ key, resource string }{
		"another endpoint":        {"breaker/t/w:1", `{"endpoint":"w:2","tenant":"t","state":"open"}`},
		"another tenant":          {"breaker/t/w:1", `{"endpoint":"w:1","tenant":"u","state":"open"}`},
		"no state":                {"breaker/t/w:1", `{"endpoint":"w:1","tenant":"t"}`},
		"half-open is not forced": {"breaker/t/w:1", `{"endpoint":"w:1","tenant":"t","state":"half-open"}`},
		"no endpoint":             {"breaker/t/x", `{"endpoint":"x","tenant":"t","state":"open"}`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeRecord(nil, c.key, `{"v":1,"kind":"breaker","resource":`+c.resource+`}`)
			require.ErrorIs(t, err, ErrBadRecord)
		})
	}
	res, err := decodeRecord(nil, "breaker/t/w:1:a%2Fb", `{"v":1,"kind":"breaker","resource":{"endpoint":"w:1:a/b","tenant":"t","state":"closed"}}`)
	require.NoError(t, err)
	require.Equal(t, catalog.BreakerClosed, res.breaker.State)
}
