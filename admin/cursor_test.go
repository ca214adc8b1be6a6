package admin

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// Instances share the bootstrap key, and so take each other's cursors; without one nobody can guess the key.
func TestCursor_IsTakenByEveryInstance(t *testing.T) {
	require.Equal(t, cursorKey(catalog.NewSecret("a")), cursorKey(catalog.NewSecret("a")))
	require.NotEqual(t, cursorKey(catalog.NewSecret("a")), cursorKey(catalog.NewSecret("b")))
	require.NotEqual(t, cursorKey(catalog.Secret{}), cursorKey(catalog.Secret{}))

	one, other := newAPI(t), newAPI(t)
	for _, id := range []string{"1", "2"} {
		body := `{"id": "` + id + `", "url": "https://example.com/"}`
		one.create(body)
	}
	cursor := one.do(http.MethodGet, "/v1/webhooks?limit=1", "").is(http.StatusOK).json()["nextCursor"].(string)
	other.do(http.MethodGet, "/v1/webhooks?limit=1&cursor="+cursor, "").is(http.StatusOK)
}

// Whatever is sent as a cursor, only what was given is taken.
func FuzzCursor(f *testing.F) {
	a := newAPI(f)
	// The same uids in every process that fuzzes.
	for _, uid := range []string{"wh_1", "wh_2"} {
		w := catalog.NewWebhook()
		w.UID, w.ID, w.Tenant, w.Platform, w.URL, w.Revision = uid, uid, catalog.DefaultTenant, catalog.PlatformV1, "https://example.com/", 1
		w.Normalize()
		a.registry.webhooks[uid] = w
	}
	given := a.do(http.MethodGet, "/v1/webhooks?limit=1", "").is(http.StatusOK).json()["nextCursor"].(string)
	f.Add(given)
	f.Add("AAAAAAAAAAAAAAAA")
	f.Add("%")
	f.Fuzz(func(t *testing.T, cursor string) {
		a.t = t
		answer := a.do(http.MethodGet, "/v1/webhooks?cursor="+url.QueryEscape(cursor), "")
		if cursor == given || cursor == "" {
			answer.is(http.StatusOK)
			return
		}
		answer.problem(kindBadRequest)
	})
}
