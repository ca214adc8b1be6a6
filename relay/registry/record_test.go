package registry

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func testKeyring(t testing.TB) *Keyring {
	t.Helper()
	ring, err := ParseKeyring("k1:" + GenerateMasterKey())
	require.NoError(t, err)
	return ring
}

// fullWebhook has a secret in every place that holds one.
func fullWebhook() *catalog.Webhook {
	w := testWebhook("orders & <more>")
	w.UID = "wh_1"
	w.Metadata = json.RawMessage(`{"n":12345678901234567890.10,"html":"<b>&</b>"}`)
	w.Filter = json.RawMessage(`{"data":{"amount":{"$gte":100.00}}}`)
	w.Auth = catalog.Auth{
		Type: catalog.AuthBearer, Token: catalog.NewSecret("hunter-token"), Password: catalog.NewSecret("hunter-password"),
		Value: catalog.NewSecret("hunter-value"), ClientSecret: catalog.NewSecret("hunter-client"), PrivateKey: catalog.NewSecret("hunter-private"),
	}
	w.Signing = catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{
		{Value: catalog.NewSecret("hunter-sign-0"), Encoding: catalog.SecretRaw}, {Value: catalog.NewSecret("hunter-sign-1"), Encoding: catalog.SecretRaw, Tag: "old"},
	}}
	w.Overrides = []catalog.Override{{Office: "berlin", Auth: &catalog.Auth{Type: catalog.AuthBasic, Username: "u", Password: catalog.NewSecret("hunter-office")}}}
	w.Delivery = catalog.DeliveryLimits{Timeout: catalog.Duration(15 * time.Second), Concurrency: 8}
	w.Created = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	w.Updated, w.Revision = w.Created, 3
	return w
}

func TestRecord_RoundTrip(t *testing.T) {
	ring, w := testKeyring(t), fullWebhook()
	value, err := encodeRecord(ring, webhookKey(w), w)
	require.NoError(t, err)
	require.NotContains(t, string(value), "hunter", "no secret is readable")
	require.Contains(t, string(value), `"html":"<b>&</b>"`, "JSON is kept as it came")

	res, err := decodeRecord(ring, webhookKey(w).String(), string(value))
	require.NoError(t, err)
	require.Equal(t, w, res.webhook)
}

func TestRecord_PlaceholderIsNeverStored(t *testing.T) {
	w := fullWebhook()
	w.Auth.Token = catalog.NewSecret(catalog.Redacted)
	_, err := encodeRecord(testKeyring(t), webhookKey(w), w)
	require.ErrorIs(t, err, ErrPlaceholder)
	require.ErrorContains(t, err, "auth.token")
}

func TestDecodeRecord_Refuses(t *testing.T) {
	ring, w := testKeyring(t), fullWebhook()
	key := webhookKey(w).String()
	good, err := encodeRecord(ring, webhookKey(w), w)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		key, value string
		err        error
	}{
		"key without parts":          {"nonsense", "x", ErrBadRecord},
		"key without uid":            {"webhook/default/", "x", ErrBadRecord},
		"not JSON":                   {key, "{", ErrBadRecord},
		"another version":            {key, strings.Replace(string(good), `"v":1`, `"v":2`, 1), ErrBadRecord},
		"no version":                 {key, `{"kind":"webhook","resource":{}}`, ErrBadRecord},
		"kind of another key":        {"suspension/default/wh_1", string(good), ErrBadRecord},
		"resource of a wrong type":   {key, `{"v":1,"kind":"webhook","resource":[]}`, ErrBadRecord},
		"no resource":                {key, `{"v":1,"kind":"webhook"}`, ErrBadRecord},
		"value of another uid":       {"webhook/default/wh_2", `{"v":1,"kind":"webhook","resource":{"uid":"wh_1","tenant":"default"}}`, ErrBadRecord},
		"value of another tenant":    {"webhook/other/wh_1", `{"v":1,"kind":"webhook","resource":{"uid":"wh_1","tenant":"default"}}`, ErrBadRecord},
		"placeholder without secret": {key, `{"v":1,"kind":"webhook","resource":{"uid":"wh_1","tenant":"default","auth":{"token":"redacted"}}}`, ErrBadRecord},
		"envelope of a wrong type":   {key, `{"v":1,"kind":"webhook","resource":{"uid":"wh_1","tenant":"default"},"sealed":5}`, ErrBadRecord},
		"master key of a wrong type": {key, `{"v":1,"kind":"webhook","resource":{"uid":"wh_1","tenant":"default"},"sealed":{"kek":5}}`, ErrBadRecord},
		"sealed for another record":  {"webhook/default/wh_2", strings.ReplaceAll(string(good), "wh_1", "wh_2"), ErrSealed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeRecord(ring, tc.key, tc.value)
			require.ErrorIs(t, err, tc.err)
		})
	}
}

func TestDecodeRecord_IgnoresWhatItDoesNotKnow(t *testing.T) {
	ring := testKeyring(t)
	res, err := decodeRecord(ring, "webhook/a/b/wh_1",
		`{"v":1,"kind":"webhook","later":1,"resource":{"uid":"wh_1","tenant":"a/b","id":"x","later":{"x":1},"retry":"none"}}`)
	require.NoError(t, err)
	require.Equal(t, "a/b", res.webhook.Tenant, "a tenant may hold a slash")

	res, err = decodeRecord(ring, "apikey/default/k1", "anything")
	require.NoError(t, err)
	require.Equal(t, resource{key: recordKey{kind: "apikey", tenant: "default", uid: "k1"}}, res)
}

func FuzzDecodeRecord(f *testing.F) {
	ring, w := testKeyring(f), fullWebhook()
	good, err := encodeRecord(ring, webhookKey(w), w)
	require.NoError(f, err)
	f.Add(webhookKey(w).String(), good)
	f.Add("suspension/default/wh_1", []byte(`{"v":1,"kind":"suspension","resource":{"uid":"wh_1","tenant":"default","epoch":1,"active":true}}`))
	f.Add("integration/default/in_1", []byte(`{"v":1,"kind":"integration","resource":{"uid":"in_1","tenant":"default","name":"n"},"sealed":{"kek":"k1","check":"","key":"","box":""}}`))
	f.Add("barrier//x", []byte(nil))
	f.Add("//", []byte("{}"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		res, err := decodeRecord(ring, key, string(value))
		if err != nil {
			return
		}
		s := newSnapshot()
		for _, change := range s.apply(res) {
			require.Equal(t, res.key.tenant, change.Tenant)
		}
		// What was accepted is the record of that key: it is stored under it and read back from there.
		if res.webhook != nil {
			again, err := encodeRecord(ring, res.key, res.webhook)
			require.NoError(t, err)
			_, err = decodeRecord(ring, key, string(again))
			require.NoError(t, err)
		}
	})
}
