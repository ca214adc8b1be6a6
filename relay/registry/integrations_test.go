package registry

import (
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func TestRegistry_Integration(t *testing.T) {
	b := newBundle(t)
	var changes []Change
	r := b.start(func(r *Registry) { r.OnChange(func(c Change) { changes = append(changes, c) }) })
	ctx := b.ctx()

	w := testWebhook("a")
	w.Integration, w.URL = "crm", ""
	_, err := r.CreateWebhook(ctx, w)
	require.ErrorIs(t, err, catalog.ErrNoIntegration)
	_, err = r.PutIntegration(ctx, testIntegration("crm"), 3)
	require.ErrorIs(t, err, ErrRevision)
	in, err := r.PutIntegration(ctx, testIntegration("crm"), IfAbsent)
	require.NoError(t, err)
	require.Equal(t, int64(1), in.Revision)
	_, err = r.PutIntegration(ctx, testIntegration("crm"), IfAbsent)
	require.ErrorIs(t, err, ErrExists)

	v := r.mustCreate(t, w)
	require.Same(t, in, v.Integration)
	alerted := testWebhook("alerted")
	alerted.Alert = &catalog.Alert{Integration: "nobody"}
	_, err = r.CreateWebhook(ctx, alerted)
	require.ErrorIs(t, err, catalog.ErrNoIntegration)
	alerted.Alert.Integration = "crm"
	alertedUID := r.mustCreate(t, alerted).Webhook.UID

	changes = nil
	edited := testIntegration("crm")
	edited.URL = "https://example.com/moved"
	second, err := r.PutIntegration(ctx, edited, 1)
	require.NoError(t, err)
	require.Equal(t, in.UID, second.UID)
	require.Equal(t, in.Created, second.Created)
	require.Equal(t, int64(2), second.Revision)
	_, err = r.PutIntegration(ctx, edited, 1)
	require.ErrorIs(t, err, ErrRevision)
	require.Len(t, changes, 1)
	require.Positive(t, changes[0].Offset)
	changes[0].Offset = 0
	require.Equal(t, []Change{{UID: v.Webhook.UID, Tenant: "default", Webhook: v.Webhook, Integration: second}}, changes,
		"the edit is told once for each webhook whose endpoint it is")

	var inUse *InUseError
	require.ErrorAs(t, r.DeleteIntegration(ctx, "default", "crm", 0), &inUse)
	require.Equal(t, []string{"a", "alerted"}, inUse.Webhooks)
	require.NoError(t, r.DeleteWebhook(ctx, "default", v.Webhook.UID, 0))
	require.ErrorAs(t, r.DeleteIntegration(ctx, "default", "crm", 0), &inUse)
	require.Equal(t, []string{"alerted"}, inUse.Webhooks)
	require.NoError(t, r.DeleteWebhook(ctx, "default", alertedUID, 0))
	require.ErrorIs(t, r.DeleteIntegration(ctx, "other", "crm", 0), ErrNotFound)
	require.ErrorIs(t, r.DeleteIntegration(ctx, "default", "crm", 1), ErrRevision, "it was edited since")
	require.NoError(t, r.DeleteIntegration(ctx, "default", "crm", 2))
	_, ok := r.Integration("default", "crm")
	require.False(t, ok)
}
