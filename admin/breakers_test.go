package admin

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// fakeBreakers is what the instances say.
type fakeBreakers struct {
	list    []catalog.BreakerStatus
	partial bool
}

func (f *fakeBreakers) List(context.Context) ([]catalog.BreakerStatus, bool) {
	return slices.Clone(f.list), !f.partial
}

func (f *fakeRegistry) ForceBreaker(ctx context.Context, tenant, endpoint string, state catalog.BreakerState, reason string) (*catalog.ForcedBreaker, error) {
	if err := f.write(ctx); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	if !f.hasEndpoint(tenant, endpoint) {
		return nil, registry.ErrNotFound
	}
	forced := &catalog.ForcedBreaker{Endpoint: endpoint, Tenant: tenant, State: state, Reason: reason, Since: time.Now().UTC()}
	f.breakers = append(slices.DeleteFunc(f.breakers, func(b *catalog.ForcedBreaker) bool { return b.Endpoint == endpoint }), forced)
	return forced, nil
}

func (f *fakeRegistry) ResetBreaker(ctx context.Context, tenant, endpoint string) error {
	if err := f.write(ctx); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if !f.hasEndpoint(tenant, endpoint) {
		return registry.ErrNotFound
	}
	f.breakers = slices.DeleteFunc(f.breakers, func(b *catalog.ForcedBreaker) bool { return b.Endpoint == endpoint })
	return nil
}

func (f *fakeRegistry) ForcedBreakers(tenant string) (list []*catalog.ForcedBreaker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.breakers {
		if b.Tenant == tenant {
			list = append(list, b)
		}
	}
	return list
}

func (f *fakeRegistry) hasEndpoint(tenant, endpoint string) bool {
	ref, ok := catalog.ParseEndpointID(endpoint)
	w := f.webhooks[ref.Webhook]
	return ok && w != nil && w.Tenant == tenant && w.HasEndpoint(ref.Office)
}

const breakerWebhook = `{"id":"w","url":"https://example.com","overrides":[{"office":"north/2","url":"https://example.com/north"}]}`

func TestBreakers_ForceAndReset(t *testing.T) {
	a := newAPI(t)
	uid := a.create(breakerWebhook)
	opened := a.do(http.MethodPost, "/v1/breakers/w:"+uid+"/open", `{"reason":"maintenance"}`).is(http.StatusOK).json()
	require.Equal(t, "open", opened["forced"])
	require.Equal(t, "maintenance", opened["reason"])
	require.Equal(t, "w:"+uid, opened["endpoint"])
	override := a.do(http.MethodPost, "/v1/breakers/w%3A"+uid+"%3Anorth%2F2/close", "").is(http.StatusOK).json()
	require.Equal(t, "w:"+uid+":north/2", override["endpoint"])
	require.Equal(t, "closed", override["forced"])

	list := a.do(http.MethodGet, "/v1/breakers", "").is(http.StatusOK).json()
	require.Len(t, list["items"], 2)
	first := list["items"].([]any)[0].(map[string]any)
	require.Equal(t, "open", first["state"])
	require.Equal(t, "open", first["forced"])
	require.Equal(t, "operator_opened", first["reason"])
	require.Nil(t, first["instance"])
	require.Nil(t, first["nextProbe"])

	reset := a.do(http.MethodPost, "/v1/breakers/w:"+uid+"/reset", "").is(http.StatusOK).json()
	require.Equal(t, map[string]any{"endpoint": "w:" + uid, "forced": nil}, reset)
	require.Len(t, a.do(http.MethodGet, "/v1/breakers", "").is(http.StatusOK).json()["items"], 1)

	for _, command := range []string{"open", "close", "reset"} {
		for _, endpoint := range []string{"w:nobody", "i:nobody", uid, "w", "w:" + uid + ":south"} {
			a.do(http.MethodPost, "/v1/breakers/"+endpoint+"/"+command, "").problem(kindNotFound)
		}
		a.do(http.MethodPost, "/v1/breakers/w:"+uid+"/"+command, "", header{"Relay-Tenant", "other"}).problem(kindNotFound)
	}
	a.do(http.MethodPost, "/v1/breakers/w:"+uid+"/open", `{"reason":""}`).problem(kindInvalid)
	a.do(http.MethodPost, "/v1/breakers/w:"+uid+"/open", `{"for":"1h"}`).problem(kindInvalid)
	a.registry.fail = context.DeadlineExceeded
	a.do(http.MethodPost, "/v1/breakers/w:"+uid+"/open", "").problem(kindUnavailable)
}

func TestBreakers_List(t *testing.T) {
	a := newAPI(t)
	uid := a.create(breakerWebhook)
	now := time.Now()
	status := func(endpoint, instance string, state catalog.BreakerState, tenant string) catalog.BreakerStatus {
		return catalog.BreakerStatus{Endpoint: endpoint, Tenant: tenant, Instance: instance, State: state, Reason: "probe_failed", Since: now,
			NextProbe: now.Add(time.Minute), Failures: 7, Openings: 2}
	}
	a.breakers.list = []catalog.BreakerStatus{
		status("w:"+uid, "b", "half-open", "default"), status("w:"+uid, "a", "open", "default"), status("w:zzz", "a", "open", "default"),
		status("w:other", "a", "open", "other"),
	}
	a.breakers.list[0].NextProbe, a.breakers.list[0].Concurrency, a.breakers.list[0].HeldUntil = time.Time{}, 2, now.Add(time.Hour)
	a.do(http.MethodPost, "/v1/breakers/w:"+uid+"/open", "").is(http.StatusOK)

	listed := func(query string) (names []string) {
		list := a.do(http.MethodGet, "/v1/breakers"+query, "").is(http.StatusOK).json()
		for _, item := range list["items"].([]any) {
			b := item.(map[string]any)
			names = append(names, b["endpoint"].(string)+"@"+b["instance"].(string))
		}
		return names
	}
	all := []string{"w:" + uid + "@a", "w:" + uid + "@b", "w:zzz@a"}
	slices.Sort(all)
	require.Equal(t, all, listed(""), "another tenant's are not listed, and what is forced is not listed twice")
	require.Equal(t, []string{"w:" + uid + "@a", "w:" + uid + "@b"}, listed("?webhook=w"))
	require.Equal(t, []string{"w:" + uid + "@b"}, listed("?instance=b"))
	require.Equal(t, []string{"w:zzz@a"}, listed("?endpoint=w:zzz"))
	require.Equal(t, []string{"w:" + uid + "@b"}, listed("?state=half-open"))
	a.do(http.MethodGet, "/v1/breakers?webhook=nobody", "").problem(kindNotFound)
	a.do(http.MethodGet, "/v1/breakers?state=ajar", "").problem(kindBadRequest)
	a.do(http.MethodGet, "/v1/breakers?cursor=AAAA", "").problem(kindBadRequest)

	var paged []string
	for query := "?limit=1"; query != ""; {
		list := a.do(http.MethodGet, "/v1/breakers"+query, "").is(http.StatusOK).json()
		require.Equal(t, true, list["complete"])
		b := list["items"].([]any)[0].(map[string]any)
		paged = append(paged, b["endpoint"].(string)+"@"+b["instance"].(string))
		query = ""
		if next, ok := list["nextCursor"].(string); ok {
			query = "?limit=1&cursor=" + next
		}
	}
	require.Equal(t, all, paged)
	a.breakers.partial = true
	require.Equal(t, false, a.do(http.MethodGet, "/v1/breakers", "").is(http.StatusOK).json()["complete"])
}
