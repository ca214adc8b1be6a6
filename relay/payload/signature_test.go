package payload

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func verifier(t testing.TB, secret string) *standardwebhooks.Webhook {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	return wh
}

// The vectors that the Standard Webhooks reference libraries and Svix publish.
func TestSignature_PublishedVectors(t *testing.T) {
	for _, v := range []struct{ secret, id, body, signature string }{
		{
			vectorSecret, "msg_p5jXN8AQM9LWM0D4loKWxJek", `{"test": 2432232314}`,
			"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		},
		{
			"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
			`{"email":"test@example.com","username":"test_user"}`, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
		},
	} {
		now := fixedNow
		if v.secret != vectorSecret {
			now = time.Unix(1649367553, 0)
		}
		d := delivery(event(v.body))
		d.WebhookID = v.id
		m := &Message{}
		require.NoError(t, compile(t, catalog.FormatRaw, signedWith(v.secret)).Compose(m, d, now))
		require.Equal(t, v.signature, m.received().Get(headerSignature))
		require.NoError(t, verifier(t, v.secret).VerifyIgnoringTimestamp(m.Body, m.received()))
	}
}

func TestSignature_VerifiesInEveryFormat(t *testing.T) {
	now := time.Now()
	for _, format := range builtin {
		for name, body := range map[string]string{"json": `{"a":1}`, "empty": "", "10 MB": `"` + strings.Repeat("x", 10<<20) + `"`} {
			t.Run(string(format)+"/"+name, func(t *testing.T) {
				m := &Message{}
				require.NoError(t, compile(t, format, signedWith(vectorSecret)).Compose(m, delivery(event(body)), now))
				require.NoError(t, verifier(t, vectorSecret).Verify(m.Body, m.received()))
			})
		}
	}
	t.Run("body that is not UTF-8", func(t *testing.T) {
		m := compose(t, compile(t, catalog.FormatRaw, signedWith(vectorSecret)), delivery(event("\xff\x00\xfe")))
		require.NoError(t, verifier(t, vectorSecret).VerifyIgnoringTimestamp(m.Body, m.received()))
	})
}

func TestSignature_Rotation(t *testing.T) {
	secrets := make([]string, 3)
	for i := range secrets {
		secrets[i] = whsecPrefix + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(i + 1)}, 32))
	}
	during := compose(t, compile(t, catalog.FormatStandard, signedWith(secrets...)), delivery(event(`{}`)))
	require.Len(t, strings.Split(during.received().Get(headerSignature), " "), 3)
	for i, secret := range secrets {
		require.NoError(t, verifier(t, secret).VerifyIgnoringTimestamp(during.Body, during.received()))
		alone := compose(t, compile(t, catalog.FormatStandard, signedWith(secret)), delivery(event(`{}`)))
		require.Equal(t, alone.received().Get(headerSignature), strings.Split(during.received().Get(headerSignature), " ")[i], "newest first")
	}
	after := compose(t, compile(t, catalog.FormatStandard, signedWith(secrets[0])), delivery(event(`{}`)))
	require.NoError(t, verifier(t, secrets[0]).VerifyIgnoringTimestamp(after.Body, after.received()))
	require.ErrorIs(t, verifier(t, secrets[1]).VerifyIgnoringTimestamp(after.Body, after.received()), standardwebhooks.ErrNoMatchingSignature)
}

func TestSignature_ReceiverRejectsWhatWasChanged(t *testing.T) {
	set := func(name string, value func(old string) string) func(http.Header, *[]byte) {
		return func(h http.Header, _ *[]byte) { h.Set(name, value(h.Get(name))) }
	}
	to := func(s string) func(string) string { return func(string) string { return s } }
	body := func(change func([]byte) []byte) func(http.Header, *[]byte) {
		return func(_ http.Header, b *[]byte) { *b = change(bytes.Clone(*b)) }
	}
	now := time.Now()
	at := func(d time.Duration) func(string) string { return to(fmt.Sprint(now.Add(d).Unix())) }
	for name, tc := range map[string]struct {
		change func(http.Header, *[]byte)
		want   error
	}{
		"nothing":               {func(http.Header, *[]byte) {}, nil},
		"other versions around": {set(headerSignature, func(s string) string { return "v2,x v1a,y " + s + " v1,AA==" }), nil},
		"no id":                 {set(headerID, to("")), standardwebhooks.ErrRequiredHeaders},
		"no timestamp":          {set(headerTimestamp, to("")), standardwebhooks.ErrRequiredHeaders},
		"no signature":          {set(headerSignature, to("")), standardwebhooks.ErrRequiredHeaders},
		"timestamp not number":  {set(headerTimestamp, to("now")), standardwebhooks.ErrInvalidHeaders},
		"too old":               {set(headerTimestamp, at(-5*time.Minute-2*time.Second)), standardwebhooks.ErrMessageTooOld},
		"too new":               {set(headerTimestamp, at(5*time.Minute+5*time.Second)), standardwebhooks.ErrMessageTooNew},
		"another second":        {set(headerTimestamp, at(time.Second)), standardwebhooks.ErrNoMatchingSignature},
		"another id":            {set(headerID, func(s string) string { return s + "x" }), standardwebhooks.ErrNoMatchingSignature},
		"empty signature":       {set(headerSignature, to("v1,")), standardwebhooks.ErrNoMatchingSignature},
		"cut signature":         {set(headerSignature, func(s string) string { return s[:len(s)-2] }), standardwebhooks.ErrNoMatchingSignature},
		"wrong version":         {set(headerSignature, func(s string) string { return "v2" + s[2:] }), standardwebhooks.ErrNoMatchingSignature},
		"newline appended":      {body(func(b []byte) []byte { return append(b, '\n') }), standardwebhooks.ErrNoMatchingSignature},
		"serialised again":      {body(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(": "), []byte(":")) }), standardwebhooks.ErrNoMatchingSignature},
		"emptied":               {body(func([]byte) []byte { return nil }), standardwebhooks.ErrNoMatchingSignature},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Message{}
			require.NoError(t, compile(t, catalog.FormatStandard, signedWith(vectorSecret)).Compose(m, delivery(event(`{"a": 1}`)), now))
			headers, body := m.received(), m.Body
			tc.change(headers, &body)
			require.ErrorIs(t, verifier(t, vectorSecret).Verify(body, headers), tc.want)
		})
	}
}

func TestSignature_RawKeyIsItsCharacters(t *testing.T) {
	// Text that is valid base64, to see that it is not decoded.
	const secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	signing := catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{{Value: catalog.NewSecret(secret), Encoding: catalog.SecretRaw}}}
	m := compose(t, compile(t, catalog.FormatStandard, signing), delivery(event(`{}`)))
	raw, err := standardwebhooks.NewWebhookRaw([]byte(secret))
	require.NoError(t, err)
	require.NoError(t, raw.VerifyIgnoringTimestamp(m.Body, m.received()))
	require.Error(t, verifier(t, secret).VerifyIgnoringTimestamp(m.Body, m.received()))
}

func TestSignature_OnlyWhenEnabled(t *testing.T) {
	signing := signedWith(vectorSecret)
	signing.Enabled = false
	for _, format := range builtin {
		m := compose(t, compile(t, format, signing), delivery(event(`{}`)))
		require.NotContains(t, m.received(), http.CanonicalHeaderKey(headerSignature))
		require.NotEmpty(t, m.received().Get(headerID))
	}
}

func TestSignature_IsRaceFreeAcrossGoroutines(t *testing.T) {
	e := compile(t, catalog.FormatStandard, signedWith(vectorSecret, vectorSecret))
	want := compose(t, e, delivery(event(`{"a":1}`))).received().Get(headerSignature)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			var m Message
			for range 200 {
				if err := e.Compose(&m, delivery(event(`{"a":1}`)), fixedNow); err != nil || m.received().Get(headerSignature) != want {
					t.Errorf("got %s, error %v", m.received().Get(headerSignature), err)
					return
				}
			}
		})
	}
	workers.Wait()
}

func TestCompile_RefusesUnusableKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		value    string
		encoding catalog.SecretEncoding
	}{
		"no value":           {"", catalog.SecretRaw},
		"prefix alone":       {whsecPrefix, catalog.SecretWhsec},
		"not base64":         {"whsec_hunter2hunter2!", catalog.SecretWhsec},
		"not padded":         {"whsec_aHVudGVyMg", catalog.SecretWhsec},
		"placeholder":        {catalog.Redacted, catalog.SecretRaw},
		"encoding not known": {"hunter2", "rot13"},
		"encoding not given": {"hunter2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			signing := signedWith(vectorSecret)
			signing.Secrets = append(signing.Secrets, catalog.SigningSecret{Value: catalog.NewSecret(tc.value), Encoding: tc.encoding})
			_, err := Compile(catalog.FormatStandard, Keys{Signing: signing})
			require.ErrorIs(t, err, ErrSigningKey)
			require.ErrorContains(t, err, "signing.secrets[1]")
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
	t.Run("none", func(t *testing.T) {
		_, err := Compile(catalog.FormatStandard, Keys{Signing: catalog.Signing{Enabled: true}})
		require.ErrorIs(t, err, ErrSigningKey)
	})
}

func TestEncoding_DoesNotPrintItsKeys(t *testing.T) {
	const secret = "a-key-that-must-not-be-printed"
	signing := catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{{Value: catalog.NewSecret(secret), Encoding: catalog.SecretRaw}}}
	e := compile(t, catalog.FormatStandard, signing)
	m := compose(t, e, delivery(event(`{}`)))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, e), secret)
		require.NotContains(t, fmt.Sprintf(verb, m), secret)
	}
}
