package registry

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func TestRegistry_SuspensionEpochs(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	ctx := b.ctx()
	uid := r.mustCreate(t, testWebhook("a")).Webhook.UID

	_, err := r.Suspend(ctx, "wh_nobody", "gone", "")
	require.ErrorIs(t, err, ErrNotFound)
	first, err := r.Suspend(ctx, uid, "gone", "410 twice")
	require.NoError(t, err)
	require.Equal(t, int64(1), first.Epoch)
	require.True(t, first.Active)
	require.Equal(t, "410 twice", first.LastFailure)
	again, err := r.Suspend(ctx, uid, "failures", "")
	require.NoError(t, err)
	require.Same(t, first, again, "suspending twice begins one epoch")

	v, err := r.Unsuspend(ctx, "default", uid, false)
	require.NoError(t, err)
	require.False(t, v.Suspension.Active)
	require.Equal(t, []int64{1}, v.Suspension.Kept)
	require.Equal(t, int64(1), v.Webhook.Revision, "a suspension is no edit of the webhook")
	applied := r.Applied()
	_, err = r.Unsuspend(ctx, "default", uid, true)
	require.NoError(t, err)
	require.Equal(t, applied, r.Applied(), "ending what has ended writes nothing")
	_, err = r.Unsuspend(ctx, "other", uid, true)
	require.ErrorIs(t, err, ErrNotFound)

	second, err := r.Suspend(ctx, uid, "operator", "")
	require.NoError(t, err)
	require.Equal(t, int64(2), second.Epoch)
	v, err = r.Unsuspend(ctx, "default", uid, true)
	require.NoError(t, err)
	require.Equal(t, []int64{1}, v.Suspension.Kept)
	require.False(t, v.Suspension.Drains(1), "kept")
	require.True(t, v.Suspension.Drains(2))

	suspension, webhook := r.Suspension(uid)
	require.Same(t, v.Suspension, suspension)
	require.Same(t, v.Webhook, webhook)
	each := map[string]*catalog.Suspension{}
	r.EachSuspension(func(uid string, s *catalog.Suspension) { each[uid] = s })
	require.Equal(t, map[string]*catalog.Suspension{uid: suspension}, each)

	require.NoError(t, r.DeleteWebhook(ctx, "default", uid, 0))
	suspension, webhook = r.Suspension(uid)
	require.Nil(t, suspension, "deleting the webhook deletes its suspension")
	require.Nil(t, webhook)
}

func TestRegistry_SuspendedByManyAtOnce(t *testing.T) {
	b := newBundle(t)
	registries := []*instance{b.start(), b.start()}
	uid := registries[0].mustCreate(t, testWebhook("a")).Webhook.UID
	require.NoError(t, registries[1].Confirm(b.ctx()))
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			s, err := registries[i%2].Suspend(b.ctx(), uid, "failures", "")
			if err != nil || s.Epoch != 1 {
				t.Error(s, err)
			}
		})
	}
	group.Wait()
}
