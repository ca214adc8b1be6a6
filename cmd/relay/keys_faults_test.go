//go:build faults

package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// trailEntry is what the tests look at of an entry.
type trailEntry struct {
	Actor, Action, Outcome string
	Object                 struct{ Kind, UID string }
}

// trail reads the whole audit trail of the default tenant, newest first.
func (a api) trail(t *testing.T) (entries []trailEntry) {
	t.Helper()
	for cursor := ""; ; {
		var page struct {
			Items      []trailEntry
			NextCursor *string
		}
		_, err := a.call(t.Context(), http.MethodGet, "/v1/audit?limit=200"+cursor, nil, &page)
		require.NoError(t, err)
		entries = append(entries, page.Items...)
		if page.NextCursor == nil {
			return entries
		}
		cursor = "&cursor=" + *page.NextCursor
	}
}

// TestKeys_OnTwoInstances: a key that one instance made works at the other, stops working there within a second of its
// revocation, and survives a crash. A thousand webhooks created through both at once are all there, none twice, and the
// trail has an entry of each.
func TestKeys_OnTwoInstances(t *testing.T) {
	const webhooks, clients = 1000, 8
	f := newFleet(t, time.Second)
	one, two := f.start(t, "one", "--roles", "admin"), f.start(t, "two", "--roles", "admin")
	one.awaitReady(t, f)
	two.awaitReady(t, f)
	var made struct{ ID, Key string }
	_, err := one.api.call(t.Context(), http.MethodPost, "/v1/keys", map[string]any{"scopes": []string{"webhooks:read", "webhooks:write", "audit:read"}}, &made)
	require.NoError(t, err)
	works := func(p *relayProcess) int {
		status, _ := api{p.api.url, made.Key}.call(t.Context(), http.MethodGet, "/v1/webhooks", nil, nil) // the status says it
		return status
	}
	require.Eventually(t, func() bool { return works(two) == http.StatusOK }, 5*time.Second, 10*time.Millisecond)

	var group sync.WaitGroup
	var next atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for i := range clients {
		client := api{[]*relayProcess{one, two}[i%2].api.url, made.Key}
		group.Go(func() {
			for n := next.Add(1); n <= webhooks; n = next.Add(1) {
				body := map[string]any{"id": fmt.Sprintf("parallel-%d", n), "url": "https://example.com/"}
				if _, err := client.call(ctx, http.MethodPost, "/v1/webhooks", body, nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	for _, p := range []*relayProcess{one, two} {
		uids := map[string]bool{}
		for cursor := ""; ; {
			var page struct {
				Items      []struct{ UID string }
				NextCursor *string
			}
			_, err := p.api.call(t.Context(), http.MethodGet, "/v1/webhooks?limit=200"+cursor, nil, &page)
			require.NoError(t, err)
			for _, w := range page.Items {
				uids[w.UID] = true
			}
			if page.NextCursor == nil {
				break
			}
			cursor = "&cursor=" + *page.NextCursor
		}
		require.Len(t, uids, webhooks)
		created := map[string]int{}
		for _, e := range (api{p.api.url, made.Key}).trail(t) {
			if e.Object.Kind == "webhook" {
				require.Equal(t, [3]string{made.ID, "POST /v1/webhooks", "created"}, [3]string{e.Actor, e.Action, e.Outcome})
				created[e.Object.UID]++
			}
		}
		require.Len(t, created, webhooks)
		for uid, entries := range created {
			require.True(t, uids[uid] && entries == 1, uid)
		}
	}

	one.kill()
	one = f.start(t, "one", "--roles", "admin")
	one.awaitReady(t, f)
	require.Equal(t, http.StatusOK, works(one))
	_, err = two.api.call(t.Context(), http.MethodDelete, "/v1/keys/"+made.ID, nil, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, works(two))
	revoked := time.Now()
	require.Eventually(t, func() bool { return works(one) == http.StatusUnauthorized }, 30*time.Second, 5*time.Millisecond)
	t.Logf("revoked elsewhere after %s", time.Since(revoked))
	newest := one.api.trail(t)[0]
	require.Equal(t, [2]string{"bootstrap", "DELETE /v1/keys/{id}"}, [2]string{newest.Actor, newest.Action})
}
