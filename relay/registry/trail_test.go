package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/audit"
)

// trail reads all entries, oldest first, without their times.
func (b *bundle) trail(tenant string) (entries []audit.Entry) {
	b.t.Helper()
	log, err := audit.NewLog(audit.Options{Client: b.kafka, Topic: testTopics.Audit()})
	require.NoError(b.t, err)
	for q := (audit.Query{Tenant: tenant, Ownerless: true, Limit: 200}); ; {
		page, err := log.Read(b.ctx(), q)
		require.NoError(b.t, err)
		for _, listed := range page.Entries {
			require.False(b.t, listed.Time.IsZero())
			entries = append(entries, listed.Entry)
		}
		if q.Before = page.Next; page.Next == 0 {
			slices.Reverse(entries)
			return entries
		}
	}
}

func TestTrail_EveryChangeHasItsEntry(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	call := audit.Call{Actor: "key_1", Action: "POST /v1/webhooks", Address: "192.0.2.7", RequestID: "req-1"}
	ctx := audit.NewContext(b.ctx(), call)
	in, err := r.PutIntegration(ctx, testIntegration("crm"), 0)
	require.NoError(t, err)
	w := testWebhook("a")
	w.Auth = catalog.Auth{Type: catalog.AuthBearer, Token: catalog.NewSecret("canary-old")}
	v, err := r.CreateWebhook(ctx, w)
	require.NoError(t, err)
	uid := v.Webhook.UID
	_, err = r.UpdateWebhook(ctx, "default", uid, 0, func(w *catalog.Webhook) error {
		w.ID, w.Description, w.Auth.Token = "renamed", "canary-text", catalog.NewSecret("canary-new")
		return nil
	})
	require.NoError(t, err)
	_, err = r.Suspend(b.ctx(), uid, "gone", "410")
	require.NoError(t, err)
	_, err = r.Unsuspend(ctx, "default", uid, true)
	require.NoError(t, err)
	_, err = r.Unsuspend(ctx, "default", uid, true) // changes nothing
	require.NoError(t, err)
	require.ErrorIs(t, r.DeleteWebhook(ctx, "other", uid, 0), ErrNotFound)
	require.NoError(t, r.DeleteWebhook(ctx, "default", uid, 0))
	_, err = r.CreateAPIKey(ctx, testAPIKey("key_9", ""))
	require.NoError(t, err)

	relays := audit.Call{Actor: audit.ActorRelay}
	want := []audit.Entry{
		{Tenant: "default", Call: call, Kind: "integration", ID: "crm", UID: in.UID, After: 1, Outcome: audit.Created},
		{Tenant: "default", Call: call, Kind: "webhook", ID: "a", UID: uid, After: 1, Outcome: audit.Created},
		{Tenant: "default", Call: call, Kind: "webhook", ID: "renamed", UID: uid, Before: 1, After: 2, Changed: []string{"auth", "description", "id"}, Outcome: audit.Updated},
		{Tenant: "default", Call: relays, Kind: "suspension", ID: "renamed", UID: uid, Outcome: audit.Created},
		{Tenant: "default", Call: call, Kind: "suspension", ID: "renamed", UID: uid, Changed: []string{"active"}, Outcome: audit.Updated},
		{Tenant: "default", Call: call, Kind: "webhook", ID: "renamed", UID: uid, Before: 2, Outcome: audit.Deleted},
		{Tenant: "default", Call: call, Kind: "suspension", ID: "renamed", UID: uid, Outcome: audit.Deleted},
		{Call: call, Kind: "key", ID: "of ", UID: "key_9", Outcome: audit.Created},
	}
	got := b.trail("default")
	for i := range got {
		got[i].Time = want[0].Time
	}
	require.Equal(t, want, got)
	require.NotContains(t, fmt.Sprintf("%+v", got), "canary", "names, never values")
}

// A write that another process fenced off leaves neither a change nor an entry.
func TestTrail_FencedAttemptsLeaveNone(t *testing.T) {
	b := newBundle(t)
	b.redis.Close()
	zombie, other := b.start(), b.start()
	v := zombie.mustCreate(t, testWebhook("contested"))
	tries := 0
	_, err := zombie.UpdateWebhook(b.ctx(), "default", v.Webhook.UID, 0, func(w *catalog.Webhook) error {
		if tries++; tries == 1 {
			other.mustCreate(t, testWebhook("new"))
		}
		w.Description = "by the zombie"
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 2, tries)
	require.Len(t, b.trail("default"), 3)
}

// Of edits that demand the same revision exactly one wins, whichever instances they come through.
func TestTrail_OfAContestedRevisionIsTheWinners(t *testing.T) {
	for name, withRedis := range map[string]bool{"with the lock": true, "without Redis": false} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t)
			if !withRedis {
				b.redis.Close()
			}
			registries := []*instance{b.start(), b.start()}
			uid := registries[0].mustCreate(t, testWebhook("contested")).Webhook.UID
			const revisions, editors = 4, 3
			for revision := int64(1); revision <= revisions; revision++ {
				var won, lost atomic.Int64
				var group sync.WaitGroup
				for i, r := range registries {
					for e := range editors {
						group.Go(func() {
							_, err := r.UpdateWebhook(b.ctx(), "default", uid, revision, func(w *catalog.Webhook) error {
								w.Description = fmt.Sprint(i, e)
								return nil
							})
							if err == nil {
								won.Add(1)
							} else {
								lost.Add(1)
							}
							if err != nil && !errors.Is(err, ErrRevision) {
								t.Error(err)
							}
						})
					}
				}
				group.Wait()
				require.Equal(t, int64(1), won.Load(), "revision %d", revision)
				require.Equal(t, int64(2*editors-1), lost.Load())
			}
			require.Len(t, b.trail("default"), 1+revisions, "an entry for each that won")
		})
	}
}

// A thousand webhooks that two instances create in parallel are all there, each once.
func TestWriter_AThousandInParallel(t *testing.T) {
	b := newBundle(t)
	registries := []*instance{b.start(), b.start()}
	const each, workers = 500, 8
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	var group sync.WaitGroup
	for i, r := range registries {
		var next atomic.Int64
		for range workers {
			group.Go(func() {
				for n := next.Add(1); n <= each; n = next.Add(1) {
					if _, err := r.CreateWebhook(ctx, testWebhook(fmt.Sprintf("%d-%d", i, n))); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	group.Wait()
	for _, r := range registries {
		require.NoError(t, r.Confirm(ctx))
		require.Equal(t, 2*each, r.Count())
		ids := map[string]int{}
		r.Each(func(v View) bool { ids[v.Webhook.ID]++; return true })
		require.Len(t, ids, 2*each)
	}
	for key, records := range b.recordsByKey(registries[0].Registry) {
		if kind, err := parseRecordKey(key); err == nil && kind.kind == KindWebhook {
			require.Equal(t, 1, records, key)
		}
	}
	require.Len(t, b.trail("default"), 2*each)
}

// What is only wrapped under another master key has not changed, and nobody did it.
func TestTrail_NewMasterKeysLeaveNone(t *testing.T) {
	b := newBundle(t)
	oldKey, newKey := "old:"+GenerateMasterKey(), "new:"+GenerateMasterKey()
	first := b.start(withKeys(ringOf(t, oldKey)))
	first.mustCreate(t, signedWebhook("a"))
	_, err := first.CreateAPIKey(b.ctx(), testAPIKey("key_a", "default"))
	require.NoError(t, err)
	first.stop()
	second := b.start(withKeys(ringOf(t, newKey, oldKey)), rewrapping)
	eventually(t, "done", func() bool { return underOldKey(second.Registry) == 0 })
	require.Len(t, b.trail("default"), 2)
	_, ok := second.APIKey("key_a")
	require.True(t, ok)
}
