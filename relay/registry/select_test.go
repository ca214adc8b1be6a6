package registry

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// What Select gives is what List gives without what is not wanted, whatever the size of its pages.
func TestSelect_IsListWithoutTheRest(t *testing.T) {
	r := &Registry{snapshot: newSnapshot()}
	const webhooks = 2*selectChunk + 7
	created := now()
	for i := range webhooks {
		w := catalog.NewWebhook()
		w.UID, w.ID, w.Tenant, w.Created, w.Enabled = fmt.Sprintf("wh_%06d", i), fmt.Sprintf("w%d", i), "acme", created, i%3 == 0
		r.snapshot.apply(resource{key: webhookKey(w), webhook: w})
	}
	enabled := func(v View) bool { return v.Webhook.Enabled }
	var want []string
	all, next := r.List("acme", "", webhooks)
	require.Empty(t, next)
	for _, v := range all {
		if enabled(v) {
			want = append(want, v.Webhook.UID)
		}
	}
	require.Len(t, want, (webhooks+2)/3)
	for _, limit := range []int{1, 7, 50, 200, len(want) - 1, len(want), webhooks} {
		var got []string
		for after, first := "", true; first || after != ""; first = false {
			page, next := r.Select("acme", after, limit, enabled)
			if next != "" {
				require.Len(t, page, limit)
			}
			for _, v := range page {
				got = append(got, v.Webhook.UID)
			}
			after = next
		}
		require.True(t, slices.Equal(want, got), "pages of %d", limit)
	}
	for _, none := range []func() ([]View, string){
		func() ([]View, string) { return r.Select("acme", "", 0, enabled) },
		func() ([]View, string) { return r.Select("other", "", 10, enabled) },
		func() ([]View, string) { return r.Select("acme", "no cursor", 10, enabled) },
		func() ([]View, string) { return r.Select("acme", "", 10, func(View) bool { return false }) },
	} {
		page, next := none()
		require.Empty(t, page)
		require.Empty(t, next)
	}
}
