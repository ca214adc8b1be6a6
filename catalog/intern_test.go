package catalog

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestWebhook_InternSharesAndChangesNothing(t *testing.T) {
	made := func() *Webhook {
		w := NewWebhook()
		w.ID, w.Tenant, w.Integration = "own", string([]byte("tenant")), "crm"
		w.Events, w.Domains = []string{string([]byte("debt.paid"))}, []string{"debt"}
		w.Signing.Secrets = []SigningSecret{{Value: NewSecret("s"), Encoding: SecretRaw}}
		w.Normalize()
		return w
	}
	one, other, untouched := made(), made(), made()
	one.Intern()
	other.Intern()
	require.Equal(t, untouched, one)
	require.Same(t, unsafe.StringData(one.Tenant), unsafe.StringData(other.Tenant))
	require.Same(t, unsafe.StringData(one.Events[0]), unsafe.StringData(other.Events[0]))
	require.Same(t, &one.FailureHandling.ActOnStatusCodes[0], &other.FailureHandling.ActOnStatusCodes[0])

	changed := one.Clone()
	changed.FailureHandling.ActOnStatusCodes[0] = "503"
	changed.Events[0] = "claim.open"
	require.Equal(t, untouched, other, "a clone shares no list")

	own := made()
	own.FailureHandling.ActOnStatusCodes = []string{}
	own.Intern()
	require.Empty(t, own.FailureHandling.ActOnStatusCodes)
	require.NotNil(t, own.FailureHandling.ActOnStatusCodes)
}
