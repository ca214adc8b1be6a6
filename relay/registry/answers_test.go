package registry

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// TestAsWritten: a write is answered with what it made, whatever others have made of that since.
func TestAsWritten(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	ctx := b.ctx()
	_, err := r.PutIntegration(ctx, testIntegration("crm"), IfAbsent)
	require.NoError(t, err)
	w := testWebhook("a")
	w.Integration, w.URL = "crm", ""
	first := r.mustCreate(t, w)
	require.Same(t, first.Webhook, r.asWritten(first.Webhook).Webhook, "nobody has changed it")
	_, err = r.UpdateWebhook(ctx, "default", first.Webhook.UID, 1, func(w *catalog.Webhook) error {
		w.Integration, w.URL = "", "https://example.com/"
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, first, r.asWritten(first.Webhook), "another one has changed it")
	require.NoError(t, r.DeleteWebhook(ctx, "default", first.Webhook.UID, 0))
	require.Equal(t, first, r.asWritten(first.Webhook), "another one has deleted it")
}

// TestAnswers_AreOfTheirOwnWrite: of many who edit one webhook and one integration, at two registries, each is answered
// with the revision that it made.
func TestAnswers_AreOfTheirOwnWrite(t *testing.T) {
	const each = 15
	b := newBundle(t)
	registries := []*instance{b.start(), b.start()}
	ctx := b.ctx()
	uid := registries[0].mustCreate(t, testWebhook("contested")).Webhook.UID
	var (
		mu    sync.Mutex
		given = map[string]string{}
		work  sync.WaitGroup
	)
	answered := func(kind string, revision int64, got, want string) {
		mu.Lock()
		defer mu.Unlock()
		key := fmt.Sprint(kind, " ", revision)
		if former, doubled := given[key]; doubled || got != want {
			t.Errorf("%s: %q was answered with %q; before: %q", key, want, got, former)
		}
		given[key] = want
	}
	for n, r := range registries {
		for m := range 3 {
			work.Go(func() {
				for i := range each {
					text := fmt.Sprint(n, "-", m, "-", i)
					v, err := r.UpdateWebhook(ctx, "default", uid, 0, func(w *catalog.Webhook) error { w.Description = text; return nil })
					if err == nil { // else contended for too long
						answered("webhook", v.Webhook.Revision, v.Webhook.Description, text)
					}
					in := testIntegration("contested")
					in.URL = "https://example.com/" + text
					if stored, err := r.PutIntegration(ctx, in, 0); err == nil {
						answered("integration", stored.Revision, stored.URL, in.URL)
					}
				}
			})
		}
	}
	work.Wait()
	require.NotEmpty(t, given)
}
