package registry

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

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

// TestRegistry_AnnouncesEachSuspensionOnce: the announcement is in the transaction of the suspension, so that there is
// one for each beginning and each end, however many ask for it.
func TestRegistry_AnnouncesEachSuspensionOnce(t *testing.T) {
	b := newBundle(t)
	const topic = "announcements"
	require.NoError(t, b.cluster.CreateTopic(topic, 1, nil))
	announce := func(r *Registry) {
		r.opts.Announce = func(w *catalog.Webhook, s *catalog.Suspension, applied int64) *kgo.Record {
			return &kgo.Record{Topic: topic, Value: []byte(fmt.Sprintf("%s epoch %d active %t after %s known %t", w.ID, s.Epoch, s.Active, s.EventType, applied > 0))}
		}
	}
	registries := []*instance{b.start(announce), b.start(announce)}
	uid := registries[0].mustCreate(t, testWebhook("a")).Webhook.UID
	require.NoError(t, registries[1].Confirm(b.ctx()))
	for range 2 {
		var group sync.WaitGroup
		for i := range 6 {
			group.Go(func() {
				if _, err := registries[i%2].SuspendAfter(b.ctx(), uid, "claim.open", "exhausted", ""); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		_, err := registries[1].Unsuspend(b.ctx(), "default", uid, true)
		require.NoError(t, err)
		_, err = registries[0].Unsuspend(b.ctx(), "default", uid, true)
		require.NoError(t, err)
	}
	_, err := registries[0].Suspend(b.ctx(), "wh_nobody", "operator", "")
	require.ErrorIs(t, err, ErrNotFound)

	reader, err := kgo.NewClient(kgo.SeedBrokers(b.seeds...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer reader.Close()
	want := []string{"a epoch 1 active true after claim.open known true", "a epoch 1 active false after claim.open known true",
		"a epoch 2 active true after claim.open known true", "a epoch 2 active false after claim.open known true"}
	var got []string
	for len(got) < len(want) {
		for _, rec := range reader.PollFetches(b.ctx()).Records() {
			got = append(got, string(rec.Value))
		}
		require.NoError(t, b.ctx().Err())
	}
	require.Equal(t, want, got)
}

// TestRegistry_AnnouncementThatIsRefused: then there is no suspension either.
func TestRegistry_AnnouncementThatIsRefused(t *testing.T) {
	b := newBundle(t)
	r := b.start(func(r *Registry) {
		r.timing.writeWithin = 500 * time.Millisecond
		r.opts.Announce = func(*catalog.Webhook, *catalog.Suspension, int64) *kgo.Record {
			return &kgo.Record{Topic: "is-not-there"}
		}
	})
	uid := r.mustCreate(t, testWebhook("a")).Webhook.UID
	_, err := r.Suspend(b.ctx(), uid, "operator", "")
	require.Error(t, err)
	require.NoError(t, r.Confirm(b.ctx()))
	suspension, _ := r.Suspension(uid)
	require.Nil(t, suspension)
}
