package admin

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIdempotencyKey_RepeatFindsWhatWasMade(t *testing.T) {
	a := newAPI(t)
	key := header{"Idempotency-Key", "6f1c"}
	first := a.do(http.MethodPost, "/v1/webhooks", minimal, key).is(http.StatusCreated)
	repeat := a.do(http.MethodPost, "/v1/webhooks", `{ "url": "https://example.com/hook", "id": "orders" }`, key).is(http.StatusOK)
	require.Equal(t, "true", repeat.header.Get(headerReplayed))
	require.Equal(t, first.json()["uid"], repeat.json()["uid"])
	require.Equal(t, `"1"`, repeat.header.Get("ETag"))
	secret := first.json()["signing"].(map[string]any)["secrets"].([]any)[0].(map[string]any)["value"].(string)
	require.NotContains(t, string(repeat.body), secret, "a generated secret is shown once")
	require.Len(t, a.registry.webhooks, 1)

	a.do(http.MethodPost, "/v1/webhooks", `{"id": "orders", "url": "https://example.com/else"}`, key).problem(kindKeyReused)

	// The repeat finds it whatever became of it since, and an edit keeps the fingerprint.
	a.do(http.MethodPatch, "/v1/webhooks/orders", `{"id": "renamed", "description": "x"}`).is(http.StatusOK)
	require.Equal(t, "renamed", a.do(http.MethodPost, "/v1/webhooks", minimal, key).is(http.StatusOK).json()["id"])
}

func TestIdempotencyKey_IsPerTenantAndRoute(t *testing.T) {
	a := newAPI(t)
	key := header{"Idempotency-Key", "6f1c"}
	one := a.create(`{"url": "https://example.com/"}`, key)
	require.NotEqual(t, one, a.create(`{"url": "https://example.com/"}`, key, header{"Relay-Tenant", "other"}))
	require.NotEqual(t, one, a.create(`{"url": "https://example.com/"}`, header{"Idempotency-Key", "6f1d"}))
	require.NotEqual(t, one, a.create(`{"url": "https://example.com/"}`))

	const ops = `{"name": "ops", "url": "https://ops.example.com/"}`
	made := a.do(http.MethodPost, "/v1/integrations", ops, key).is(http.StatusCreated)
	require.Equal(t, made.json()["uid"], a.do(http.MethodPost, "/v1/integrations", ops, key).is(http.StatusOK).json()["uid"])
	a.do(http.MethodPost, "/v1/integrations", `{"name": "ops", "url": "https://else.example.com/"}`, key).problem(kindKeyReused)
	a.do(http.MethodPost, "/v1/integrations", ops, header{"Idempotency-Key", "other"}).problem(kindExists)
}

func TestIdempotencyKey_Grammar(t *testing.T) {
	a := newAPI(t)
	for _, refused := range []string{"a b", "ä", string(make([]byte, 256))} {
		a.do(http.MethodPost, "/v1/webhooks", minimal, header{"Idempotency-Key", refused}).problem(kindBadRequest)
	}
	require.Empty(t, a.registry.webhooks)
}

func TestIdempotencyKey_TwoAtOnce(t *testing.T) {
	a := newAPI(t)
	key := header{"Idempotency-Key", "6f1c"}
	// The same request arrives while the first is being written.
	a.registry.beforeWrite = func() {
		a.registry.beforeWrite = nil
		a.do(http.MethodPost, "/v1/webhooks", minimal, key).is(http.StatusCreated)
	}
	a.do(http.MethodPost, "/v1/webhooks", minimal, key).is(http.StatusOK)
	require.Len(t, a.registry.webhooks, 1)
}

// What was made is deleted, and the request with it: its repeat makes a webhook of its own, so that what is diverted or
// waits for the former one is never taken for the new one's.
func TestIdempotencyKey_AfterTheDeletionMakesANewUID(t *testing.T) {
	a := newAPI(t)
	key := header{"Idempotency-Key", "6f1c"}
	first := a.create(minimal, key)
	a.do(http.MethodDelete, "/v1/webhooks/"+first, "").is(http.StatusNoContent)
	second := a.create(minimal, key)
	require.NotEqual(t, first, second)
	require.Equal(t, second, a.do(http.MethodPost, "/v1/webhooks", minimal, key).is(http.StatusOK).json()["uid"])
	a.do(http.MethodDelete, "/v1/webhooks/"+second, "").is(http.StatusNoContent)
	a.create(`{"id": "orders", "url": "https://example.com/else"}`, key)
}
