package registry

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func applyWebhook(s *snapshot, uid, id string, edit func(*catalog.Webhook)) []Change {
	w := testWebhook(id)
	w.UID = uid
	if edit != nil {
		edit(w)
	}
	return s.apply(resource{key: webhookKey(w), webhook: w})
}

func applyIntegration(s *snapshot, uid, name string) []Change {
	in := testIntegration(name)
	in.UID = uid
	return s.apply(resource{key: integrationKey(in), integration: in})
}

// reader is a registry with a snapshot and nothing else, for reads.
func reader(s *snapshot) *Registry { return &Registry{snapshot: s} }

func TestSnapshot_IntegrationFansOut(t *testing.T) {
	s := newSnapshot()
	name := func(w *catalog.Webhook) { w.Integration, w.URL = "crm", "" }
	changes := applyWebhook(s, "wh_b", "b", name)
	require.Nil(t, changes[0].Integration, "named before it is there")
	applyWebhook(s, "wh_a", "a", name)
	applyWebhook(s, "wh_c", "c", nil)

	changes = applyIntegration(s, "in_1", "crm")
	require.Len(t, changes, 2)
	require.Equal(t, "wh_a", changes[0].UID)
	require.Equal(t, "wh_b", changes[1].UID)
	require.Equal(t, "in_1", changes[0].Integration.UID)
	v, _ := reader(s).View("wh_a")
	require.Equal(t, "in_1", v.Integration.UID)

	require.Empty(t, applyIntegration(s, "in_2", "erp"), "nobody names it")
	applyWebhook(s, "wh_b", "b", nil)
	require.Len(t, applyIntegration(s, "in_1", "crm"), 1, "a webhook that names it no more is not touched")

	changes = s.apply(resource{key: recordKey{kind: KindIntegration, tenant: "default", uid: "in_1"}})
	require.Len(t, changes, 1)
	require.Nil(t, changes[0].Integration)
}

func TestSnapshot_IntegrationTakesOverAName(t *testing.T) {
	s := newSnapshot()
	applyWebhook(s, "wh_a", "a", func(w *catalog.Webhook) { w.Integration = "crm" })
	applyIntegration(s, "in_1", "crm")
	applyIntegration(s, "in_2", "crm")
	s.apply(resource{key: recordKey{kind: KindIntegration, tenant: "default", uid: "in_1"}})
	v, _ := reader(s).View("wh_a")
	require.Equal(t, "in_2", v.Integration.UID, "a late tombstone of the former holder takes nothing away")
}

func TestSnapshot_SuspensionBeforeItsWebhook(t *testing.T) {
	s := newSnapshot()
	suspension := &catalog.Suspension{UID: "wh_a", Tenant: "default", Epoch: 1, Active: true}
	require.Empty(t, s.apply(resource{key: suspensionKey(suspension), suspension: suspension}))
	changes := applyWebhook(s, "wh_a", "a", nil)
	require.Equal(t, suspension, changes[0].Suspension)

	changes = s.apply(resource{key: suspensionKey(suspension)})
	require.Len(t, changes, 1)
	require.Nil(t, changes[0].Suspension)
}

func TestSnapshot_FindAmbiguous(t *testing.T) {
	s := newSnapshot()
	applyWebhook(s, "wh_1", "same", nil)
	applyWebhook(s, "wh_2", "same", func(w *catalog.Webhook) { w.Platform = catalog.PlatformSocotra })
	applyWebhook(s, "wh_3", "same", func(w *catalog.Webhook) { w.Tenant = "other" })
	r := reader(s)

	_, err := r.Find("default", "same")
	var ambiguous *AmbiguousError
	require.ErrorAs(t, err, &ambiguous)
	require.Equal(t, []string{"wh_1", "wh_2"}, ambiguous.UIDs)
	v, err := r.Find("default", "wh_2")
	require.NoError(t, err)
	require.Equal(t, catalog.PlatformSocotra, v.Webhook.Platform)
	_, err = r.Find("default", "wh_3")
	require.ErrorIs(t, err, ErrNotFound, "another tenant's uid")
	v, err = r.Find("other", "same")
	require.NoError(t, err)
	require.Equal(t, "wh_3", v.Webhook.UID)
}

func TestSnapshot_RenameFreesTheID(t *testing.T) {
	s := newSnapshot()
	applyWebhook(s, "wh_1", "old", nil)
	applyWebhook(s, "wh_1", "new", nil)
	r := reader(s)
	_, err := r.Find("default", "old")
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, 1, r.Count())
	page, next := r.List("default", "", 10)
	require.Len(t, page, 1)
	require.Empty(t, next)
	require.Empty(t, s.apply(resource{key: recordKey{kind: KindWebhook, tenant: "default", uid: "wh_9"}}), "a tombstone of nothing")
}

func TestRegistry_List(t *testing.T) {
	s := newSnapshot()
	for i := range 10 {
		applyWebhook(s, fmt.Sprintf("wh_%d", 9-i), fmt.Sprint("id", i), func(w *catalog.Webhook) { w.Created = time.Unix(int64(i), 0) })
	}
	r := reader(s)
	var uids []string
	for after, first := "", true; first || after != ""; first = false {
		var page []View
		if page, after = r.List("default", after, 3); len(page) == 3 && len(uids) == 3 {
			// Deleting what the cursor stands on does not lose the place.
			s.apply(resource{key: webhookKey(page[2].Webhook)})
		}
		for _, v := range page {
			uids = append(uids, v.Webhook.UID)
		}
	}
	require.Equal(t, []string{"wh_9", "wh_8", "wh_7", "wh_6", "wh_5", "wh_4", "wh_3", "wh_2", "wh_1", "wh_0"}, uids, "oldest first")

	page, next := r.List("default", "no cursor of ours", 3)
	require.Empty(t, page)
	require.Empty(t, next)
	page, _ = r.List("nobody", "", 3)
	require.Empty(t, page)

	seen := 0
	r.Each(func(View) bool { seen++; return seen < 4 })
	require.Equal(t, 4, seen)
}

func TestRegistry_Integrations(t *testing.T) {
	s := newSnapshot()
	for _, name := range []string{"c", "a", "b"} {
		applyIntegration(s, "in_"+name, name)
	}
	r := reader(s)
	page, next := r.Integrations("default", "", 2)
	require.Equal(t, []string{"a", "b"}, []string{page[0].Name, page[1].Name})
	page, next = r.Integrations("default", next, 2)
	require.Equal(t, "c", page[0].Name)
	require.Empty(t, next)
	page, _ = r.Integrations("other", "", 2)
	require.Empty(t, page)
}

func BenchmarkSnapshot_ChangeAmong100000(b *testing.B) {
	s := newSnapshot()
	for i := range 100_000 {
		applyWebhook(s, fmt.Sprint("wh_", i), fmt.Sprint("id", i), func(w *catalog.Webhook) { w.Created = time.Unix(int64(i), 0) })
	}
	r := reader(s)
	b.Run("change", func(b *testing.B) {
		for i := range b.N {
			applyWebhook(s, fmt.Sprint("wh_", i%100_000), fmt.Sprint("id", i), nil)
		}
	})
	b.Run("view", func(b *testing.B) {
		for b.Loop() {
			r.View("wh_77")
		}
	})
}
