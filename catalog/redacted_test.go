package catalog

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func storedWebhook() *Webhook {
	w := testWebhook()
	w.Auth = Auth{Type: AuthBasic, Username: "u", Password: NewSecret("pass")}
	w.Signing.Secrets = []SigningSecret{
		{Value: NewSecret("new"), Encoding: SecretRaw, Tag: "2025"},
		{Value: NewSecret("old"), Encoding: SecretRaw, Tag: "2024"},
	}
	w.Overrides = []Override{
		{Office: "berlin", Auth: &Auth{Type: AuthBearer, Token: NewSecret("berlin-token")}},
		{Office: "paris", Auth: &Auth{Type: AuthBearer, Token: NewSecret("paris-token")}},
	}
	return w
}

// read gives the webhook as a client gets it and sends it back.
func read(t *testing.T, w *Webhook) *Webhook {
	t.Helper()
	text, err := json.Marshal(w)
	require.NoError(t, err)
	require.NotContains(t, string(text), "token\":\"berlin")
	var next Webhook
	require.NoError(t, json.Unmarshal(text, &next))
	return &next
}

func TestKeepRedactedRoundTrip(t *testing.T) {
	stored := storedWebhook()
	next := read(t, stored)
	require.Empty(t, KeepRedacted(next, stored))
	require.Equal(t, stored, next)
}

func TestKeepRedactedFollowsOfficeAndTag(t *testing.T) {
	stored := storedWebhook()
	next := read(t, stored)
	next.Overrides = next.Overrides[1:]
	next.Signing.Secrets = next.Signing.Secrets[1:]
	next.Signing.Secrets[0].Encoding = ""
	require.Empty(t, KeepRedacted(next, stored))
	require.Equal(t, "paris-token", next.Overrides[0].Auth.Token.Reveal())
	require.Equal(t, stored.Signing.Secrets[1], next.Signing.Secrets[0])
}

func TestKeepRedactedReplacesOnlyPlaceholders(t *testing.T) {
	stored := storedWebhook()
	next := read(t, stored)
	next.Auth.Password = NewSecret("changed")
	next.Signing.Secrets[0].Tag = "renamed"
	require.Empty(t, KeepRedacted(next, stored))
	require.Equal(t, "changed", next.Auth.Password.Reveal())
	require.Equal(t, "new", next.Signing.Secrets[0].Value.Reveal(), "a new tag means the secret at that place")
}

func TestKeepRedactedNamesWhatIsNotStored(t *testing.T) {
	stored := storedWebhook()
	next := read(t, stored)
	next.Auth = Auth{Type: AuthBearer, Token: NewSecret(Redacted)}
	next.Signing.Secrets = append(next.Signing.Secrets, SigningSecret{Value: NewSecret(Redacted)})
	next.Overrides[0].Office = "rome"
	paths := func(missing []FieldError) (paths []string) {
		for _, m := range missing {
			paths = append(paths, m.Path)
		}
		return paths
	}
	require.Equal(t, []string{"auth.token", "signing.secrets[2].value", "overrides[0].auth.token"}, paths(KeepRedacted(next, stored)))
	require.Equal(t, []string{"auth.password"}, paths(KeepRedacted(&Webhook{Auth: Auth{Password: NewSecret(Redacted)}}, nil)))
}

func TestKeepRedactedIntegration(t *testing.T) {
	stored := &Integration{Auth: Auth{Type: AuthBearer, Token: NewSecret("t")}}
	next := &Integration{Auth: Auth{Type: AuthBearer, Token: NewSecret(Redacted)}}
	require.Empty(t, KeepRedactedIntegration(next, stored))
	require.Equal(t, "t", next.Auth.Token.Reveal())
	next.Auth.Token = NewSecret(Redacted)
	require.Len(t, KeepRedactedIntegration(next, nil), 1)
}

func TestCloneKeepsEmptyListsEmpty(t *testing.T) {
	w := &Webhook{Events: []string{}, Retry: Retry{Custom: nil}}
	require.NotNil(t, w.Clone().Events)
	require.Nil(t, w.Clone().Retry.Custom)
	stored := storedWebhook()
	c := stored.Clone()
	require.Equal(t, stored, c)
	c.Overrides[0].Auth.Token = NewSecret("changed")
	c.Signing.Secrets[0].Tag = "changed"
	require.Equal(t, storedWebhook(), stored)
}
