package dialect_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/admin"
	"eventrelay/admin/dialect"
	"eventrelay/catalog"
)

// integrations decodes what every call about integrations answers.
func (r reply) integrations() []map[string]any {
	r.t.Helper()
	r.is(http.StatusOK)
	var answer struct {
		Integrations []map[string]any `json:"externalServiceIntegrations"`
	}
	require.NoError(r.t, json.Unmarshal(r.body, &answer), "%s", r.body)
	require.NotNil(r.t, answer.Integrations)
	return answer.Integrations
}

// TestSocotra_IntegrationCalls makes the four calls; each answers all integrations of the tenant.
func TestSocotra_IntegrationCalls(t *testing.T) {
	a := newAPI(t)
	require.Empty(t, a.do(http.MethodGet, socotraIntegrations, "").integrations())
	created := a.do(http.MethodPost, socotraIntegrations, `{"name":"b/c","url":"https://example.com/in"}`)
	want := map[string]any{
		"name": "b/c", "url": "https://example.com/in", "headers": map[string]any{}, "type": "webhook", "tenantLocator": "default",
		"securitySpec": map[string]any{"hmacEnabled": false, "secureSSL": true},
	}
	require.Equal(t, []map[string]any{want}, created.integrations())
	require.Len(t, a.do(http.MethodPost, socotraIntegrations, `{"name":"a","url":"https://example.com/a"}`).integrations(), 2)

	replaced := a.do(http.MethodPut, socotraIntegrations+"/b%2Fc", `{"url":"https://example.com/other","type":"external_rater","headers":{"X-Team":"claims"}}`)
	want["url"], want["type"], want["headers"] = "https://example.com/other", "external_rater", map[string]any{"X-Team": "claims"}
	require.Equal(t, want, replaced.integrations()[1])
	require.Equal(t, replaced.integrations(), a.do(http.MethodGet, socotraIntegrations, "").integrations())
	require.JSONEq(t, `"external_rater"`, a.do(http.MethodGet, "/v1/integrations/b%2Fc", "").is(http.StatusOK).member("type"))

	want["url"], want["type"], want["headers"] = "https://example.com/third", "webhook", map[string]any{}
	require.Equal(t, want, a.do(http.MethodPut, socotraIntegrations+"/b%2Fc", `{"url":"https://example.com/third"}`).integrations()[1], "a full replacement")

	require.Len(t, a.do(http.MethodDelete, socotraIntegrations+"/b%2Fc", "").integrations(), 1)
	a.do(http.MethodDelete, socotraIntegrations+"/b%2Fc", "").refused(http.StatusNotFound)
	a.do(http.MethodPut, socotraIntegrations+"/b%2Fc", `{"url":"https://example.com"}`).refused(http.StatusNotFound)
}

// TestSocotra_SecuritySpec follows one integration through the replacements of its security.
func TestSocotra_SecuritySpec(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, socotraIntegrations, `{"name":"in","url":"https://example.com"}`).is(http.StatusOK)
	stored := func() catalog.Signing {
		in, ok := a.hooks.Integration(catalog.DefaultTenant, "in")
		require.True(t, ok)
		return in.Signing
	}
	secret := func(text, tag string) []catalog.SigningSecret {
		return []catalog.SigningSecret{{Value: catalog.NewSecret(text), Encoding: catalog.SecretRaw, Tag: tag}}
	}
	for _, row := range []struct {
		sent, shown string
		enabled     bool
		secrets     []catalog.SigningSecret
	}{
		{`{"hmacEnabled":true,"secret":"s1","tag":"t1"}`, `{"hmacEnabled":true,"secret":"redacted","secureSSL":true,"tag":"t1"}`, true, secret("s1", "t1")},
		{`{"hmacEnabled":true,"secret":"redacted","secureSSL":true,"tag":"t1"}`, `{"hmacEnabled":true,"secret":"redacted","secureSSL":true,"tag":"t1"}`, true, secret("s1", "t1")},
		{`{"hmacEnabled":false,"secret":"redacted","tag":"t2"}`, `{"hmacEnabled":false,"secret":"redacted","secureSSL":true,"tag":"t2"}`, false, secret("s1", "t2")},
		{`{"secret":"whsec_c2VjcmV0"}`, `{"hmacEnabled":false,"secret":"redacted","secureSSL":true}`, false, secret("whsec_c2VjcmV0", "")},
		{`{}`, `{"hmacEnabled":false,"secureSSL":true}`, false, nil},
		{`null`, `{"hmacEnabled":false,"secureSSL":true}`, false, nil},
	} {
		answer := a.do(http.MethodPut, socotraIntegrations+"/in", `{"url":"https://example.com","securitySpec":`+row.sent+`}`).integrations()
		shown, err := json.Marshal(answer[0]["securitySpec"])
		require.NoError(t, err)
		require.JSONEq(t, row.shown, string(shown), row.sent)
		require.Equal(t, row.enabled, stored().Enabled)
		require.Equal(t, row.secrets, stored().Secrets)
	}
	generated := a.do(http.MethodPut, socotraIntegrations+"/in", `{"url":"https://example.com","securitySpec":{"hmacEnabled":true}}`).integrations()
	once := generated[0]["securitySpec"].(map[string]any)["secret"].(string)
	require.NotEqual(t, catalog.Redacted, once)
	require.Equal(t, secret(once, ""), stored().Secrets, "made where none was sent, and shown once")
	require.NotContains(t, string(a.do(http.MethodGet, socotraIntegrations, "").body), once)
}

// TestSocotra_AuthorizationHeader keeps the one header that holds a credential as a credential.
func TestSocotra_AuthorizationHeader(t *testing.T) {
	a := newAPI(t)
	body := `{"name":"in","url":"https://example.com","headers":{"authorization":"Token abc","X-Team":"claims"}}`
	shown := a.do(http.MethodPost, socotraIntegrations, body).integrations()
	require.Equal(t, map[string]any{"Authorization": "redacted", "X-Team": "claims"}, shown[0]["headers"])
	in, _ := a.hooks.Integration(catalog.DefaultTenant, "in")
	auth := catalog.Auth{Type: catalog.AuthHeader, Name: "Authorization", Value: catalog.NewSecret("Token abc")}
	require.Equal(t, auth, in.Auth)
	a.do(http.MethodPut, socotraIntegrations+"/in", `{"url":"https://example.com","headers":{"Authorization":"redacted"}}`).is(http.StatusOK)
	in, _ = a.hooks.Integration(catalog.DefaultTenant, "in")
	require.Equal(t, auth, in.Auth)
	a.do(http.MethodPut, socotraIntegrations+"/in", `{"url":"https://example.com"}`).is(http.StatusOK)
	in, _ = a.hooks.Integration(catalog.DefaultTenant, "in")
	require.Equal(t, catalog.AuthNone, in.Auth.Type)
	a.do(http.MethodPut, socotraIntegrations+"/in", `{"url":"https://example.com","headers":{"Authorization":"redacted"}}`).refused(http.StatusUnprocessableEntity)
}

// What the platform has no words for stays.
func TestSocotra_IntegrationOfV1(t *testing.T) {
	a := newAPI(t, allowHTTP)
	a.do(http.MethodPost, "/v1/integrations", `{"name":"in","url":"https://example.com","auth":{"type":"bearer","token":"t"},"concurrency":3,
		"signing":{"enabled":true,"secrets":[{"value":"one","encoding":"raw"},{"value":"two","encoding":"raw"}]}}`).is(http.StatusCreated)
	a.do(http.MethodPost, "/v1/integrations", `{"name":"plain","url":"http://example.com","signing":{"enabled":true,"secrets":[{"value":"one","encoding":"raw"}]}}`).is(http.StatusCreated)
	for i, name := range []string{"in", "plain"} {
		before, _ := a.hooks.Integration(catalog.DefaultTenant, name)
		shown := a.do(http.MethodGet, socotraIntegrations, "").integrations()[i]
		body, err := json.Marshal(shown)
		require.NoError(t, err)
		a.do(http.MethodPut, socotraIntegrations+"/"+name, string(body)).is(http.StatusOK)
		after, _ := a.hooks.Integration(catalog.DefaultTenant, name)
		require.Equal(t, before.Auth, after.Auth)
		require.Equal(t, before.Signing, after.Signing)
		require.Equal(t, before.Concurrency, after.Concurrency)
		require.Equal(t, before.UID, after.UID)
	}
}

// allowHTTP permits http:// URLs, which have no certificate.
func allowHTTP(s *dialect.Services, o *admin.Options) {
	egress := catalog.Egress{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	s.Rules.Egress, o.Rules.Egress = egress, egress
}

func TestSocotra_InsecureTLS(t *testing.T) {
	const body = `{"name":"in","url":"https://example.com","securitySpec":{"secureSSL":false}}`
	strict := newAPI(t)
	require.Contains(t, strict.do(http.MethodPost, socotraIntegrations, body).refused(http.StatusUnprocessableEntity), "securitySpec.secureSSL: ")
	lenient := newAPI(t, func(s *dialect.Services, _ *admin.Options) { s.Rules.Egress.AllowInsecureTLS = true })
	shown := lenient.do(http.MethodPost, socotraIntegrations, body).integrations()
	require.Equal(t, false, shown[0]["securitySpec"].(map[string]any)["secureSSL"])
	in, _ := lenient.hooks.Integration(catalog.DefaultTenant, "in")
	require.True(t, in.TLS.InsecureSkipVerify)
}

func TestSocotra_BadIntegrations(t *testing.T) {
	a := newSocotra(t, allowHTTP)
	a.do(http.MethodPut, socotraHooks, `{"name":"w","integrationName":"claims","alertIntegrationName":"pager"}`).is(http.StatusOK)
	before := a.do(http.MethodGet, socotraIntegrations, "").is(http.StatusOK).body
	for _, row := range []struct{ body, says string }{
		{`{"url":"https://example.com"}`, "name: "},
		{`{"name":"","url":"https://example.com"}`, "name: "},
		{`{"name":"new"}`, "url: "},
		{`{"name":"new","url":""}`, "url: "},
		{`{"name":"new","url":"example.com"}`, "url: "},
		{`{"name":"new","url":"ftp://example.com"}`, "url: "},
		{`{"name":"new","url":"https://10.0.0.1/in"}`, "url: "},
		{`{"name":"new","url":"https://example.com","type":7}`, "type: "},
		{`{"name":"new","url":"https://example.com","headers":["X-Team"]}`, "headers: "},
		{`{"name":"new","url":"https://example.com","headers":{"X-Team":7}}`, "headers.X-Team: "},
		{`{"name":"new","url":"https://example.com","headers":{"Host":"a"}}`, "headers.Host: "},
		{`{"name":"new","url":"https://example.com","headers":{"Authorization":"a\nb"}}`, "headers.Authorization: "},
		{`{"name":"new","url":"https://example.com","headers":{"Authorization":"redacted"}}`, "headers.Authorization: "},
		{`{"name":"new","url":"https://example.com","securitySpec":true}`, "securitySpec: "},
		{`{"name":"new","url":"http://example.com","securitySpec":{"hmacEnabled":true,"secret":"s"}}`, "securitySpec: "},
		{`{"name":"new","url":"https://example.com","securitySpec":{"hmacEnabled":"true"}}`, "securitySpec.hmacEnabled: "},
		{`{"name":"new","url":"https://example.com","securitySpec":{"secureSSL":"true"}}`, "securitySpec.secureSSL: "},
		{`{"name":"new","url":"https://example.com","securitySpec":{"tag":"t"}}`, "securitySpec.tag: "},
		{`{"name":"new","url":"https://example.com","securitySpec":{"secret":"redacted"}}`, "securitySpec.secret: "},
	} {
		require.Contains(t, a.do(http.MethodPost, socotraIntegrations, row.body).refused(http.StatusUnprocessableEntity), row.says, row.body)
	}
	a.do(http.MethodPut, socotraIntegrations+"/claims", `{"securitySpec":{}}`).refused(http.StatusUnprocessableEntity)
	a.do(http.MethodPost, socotraIntegrations, `{"name":"claims","url":"https://example.com"}`).refused(http.StatusConflict)
	for _, used := range []string{"claims", "pager"} {
		require.Contains(t, a.do(http.MethodDelete, socotraIntegrations+"/"+used, "").refused(http.StatusConflict), "in use by w")
	}
	require.JSONEq(t, string(before), string(a.do(http.MethodGet, socotraIntegrations, "").is(http.StatusOK).body), "nothing has changed")
}
