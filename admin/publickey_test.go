package admin

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const publicPEM = "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"

func onlyDefaultHasKey(tenant string) (string, bool) { return publicPEM, tenant == "default" }

func TestPublicKey(t *testing.T) {
	a := newAPI(t)
	nobody := header{"Authorization", ""}
	for _, path := range []string{"/receeve/public-key", "/receeve/public-key?tenant=default"} {
		answer := a.do(http.MethodGet, path, "", nobody).is(http.StatusOK)
		require.Equal(t, publicPEM, string(answer.body))
		require.Equal(t, mediaPEM, answer.header.Get("Content-Type"))
	}
	answer := a.do(http.MethodGet, "/receeve/public-key?tenant=other", "", nobody).is(http.StatusNotFound)
	require.Contains(t, answer.json()["error"], "no public key")
	a.do(http.MethodGet, "/receeve/public-key?tenant=a/b", "", nobody).problem(kindBadRequest)
	a.do(http.MethodPost, "/receeve/public-key", "{}", nobody).is(http.StatusMethodNotAllowed)

	none := newAPI(t, func(o *Options) { o.PublicKey = nil })
	none.do(http.MethodGet, "/receeve/public-key", "", nobody).is(http.StatusNotFound)
}
