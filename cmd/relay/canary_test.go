package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestCanary: secrets are in every place that takes one; the API is used and misused, deliveries succeed and fail in
// every way; then no log line, answer, metric, topic or Redis key holds any of them.
func TestCanary(t *testing.T) {
	t.Parallel()
	a := newAviary(t)
	receiver := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(receiver.Close)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail as they should
	secure.StartTLS()
	t.Cleanup(secure.Close)
	clientSecret, accessToken := a.secret("client secret"), a.secret("access token")
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(r.URL.Path, "/broken") {
			w.WriteHeader(http.StatusBadRequest)
			_, secret, _ := r.BasicAuth()
			_, _ = fmt.Fprintf(w, `{"error":%q}`, secret)
			return
		}
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"bearer","expires_in":3600}`, accessToken)
	}))
	t.Cleanup(issuer.Close)
	certificate, key := newClientPair(t)
	body, _ := pem.Decode([]byte(key))
	a.canaries = append(a.canaries, canary{name: "client key", value: base64.StdEncoding.EncodeToString(body.Bytes)[40:80]})

	auths := map[string]string{
		"basic":  fmt.Sprintf(`{"type": "basic", "username": "u", "password": %q}`, a.secret("password")),
		"bearer": fmt.Sprintf(`{"type": "bearer", "token": %q}`, a.secret("bearer token")),
		"header": fmt.Sprintf(`{"type": "header", "name": "X-Api-Key", "value": %q}`, a.secret("header value")),
		"oauth2": fmt.Sprintf(`{"type": "oauth2", "tokenUrl": "%s/token?k=%s", "clientId": "c", "clientSecret": %q}`, issuer.URL, a.configuration("token URL query"), clientSecret),
		"broken": fmt.Sprintf(`{"type": "oauth2", "tokenUrl": "%s/broken", "clientId": "c", "clientSecret": %q}`, issuer.URL, a.secret("client secret of a broken server")),
		"mtls":   fmt.Sprintf(`{"type": "mtls", "certificate": %q, "privateKey": %q}`, certificate, key),
	}
	ca, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	require.NoError(t, err)
	signing := fmt.Sprintf(`"signing": {"secrets": [{"value": %q, "encoding": "raw"}, {"value": %q, "encoding": "raw"}]}`, a.secret("signing secret"), a.secret("former signing secret"))
	query, header := a.configuration("URL query"), a.configuration("custom header")
	statuses := []string{"200", "500", "404", "410", "hang"}
	n := 0
	create := func(auth, to, extra string) string {
		n++
		answer := a.must(http.StatusCreated, http.MethodPost, "/v1/webhooks", fmt.Sprintf(
			`{"id": "w%d", "url": "%s?q=%s", "auth": %s, %s, "headers": {"X-Custom": %q}, "retry": {"schedule": ["1s"]}, "delivery": {"timeout": "500ms"}%s}`,
			n, to, query, auth, signing, header, extra))
		var made struct{ UID string }
		require.NoError(t, json.Unmarshal(answer, &made))
		return made.UID
	}
	var uids []string
	for _, auth := range auths {
		for _, status := range statuses {
			uids = append(uids, create(auth, receiver.URL+"/"+status, ""))
		}
	}
	uids = append(uids,
		create(auths["mtls"], secure.URL+"/200", `, "tls": {"caCert": `+string(ca)+`}`),
		create(auths["bearer"], secure.URL+"/200", ""),                         // an unknown authority
		create(auths["basic"], "http://127.0.0.1:1/", ""),                      // nobody listens
		create(auths["header"], "https://no-such-host.invalid/", ""),           // no name
		create(auths["basic"], receiver.URL+"/200", `, "format": "donutwork"`), // sends the signing secret itself
		create(auths["bearer"], receiver.URL+"/500", `, "format": "receeve"`),  // has a key pair
		create(auths["bearer"], receiver.URL+"/404", `, "failureHandling": {"mode": "none"}`))
	a.must(http.StatusCreated, http.MethodPost, "/v1/integrations", fmt.Sprintf(`{"name": "crm", "url": "%s/500", "auth": {"type": "bearer", "token": %q}, %s}`,
		receiver.URL, a.secret("token of an integration"), signing))
	a.must(http.StatusCreated, http.MethodPost, "/v1/webhooks", `{"id": "through", "integration": "crm", "alert": {"integration": "crm"}, "retry": "none"}`)

	uids = append(uids, a.integrate(auths, receiver.URL, signing)...)
	rotated := a.generate(receiver.URL)

	a.useKeys()
	a.misuse(auths, signing)
	for _, uid := range uids {
		path := "/v1/webhooks/" + uid
		shown := a.must(http.StatusOK, http.MethodGet, path, "")
		a.must(http.StatusOK, http.MethodPut, path, string(shown))
		a.must(http.StatusOK, http.MethodPatch, path, `{"displayName": "d"}`)
	}

	events := 0
	publish := func() {
		events++
		a.f.client.Produce(t.Context(), &kgo.Record{Topic: "debt", Value: []byte(`{"n":1}`), Headers: []kgo.RecordHeader{
			{Key: "ce_id", Value: fmt.Appendf(nil, "e%d", events)}, {Key: "ce_source", Value: []byte("/s")}, {Key: "ce_type", Value: []byte("debt.paid")}, {Key: "ce_specversion", Value: []byte("1.0")}}}, nil)
	}
	for range 3 {
		publish()
	}
	a.f.client.Produce(t.Context(), &kgo.Record{Topic: "debt", Value: []byte(`not an event`)}, nil)
	require.NoError(t, a.f.client.Flush(t.Context()))
	require.Eventually(t, func() bool {
		topics := a.kafka()
		return len(topics[a.f.topics.Rejected()]) > 0 && bytes.Count(topics[a.f.topics.Diverted()], []byte("\n")) >= 2*len(uids)
	}, time.Minute, 500*time.Millisecond, "%s", &a.f.logs)
	for _, uid := range uids {
		path := "/v1/webhooks/" + uid
		_, listed := a.do(http.MethodGet, path+"/diverted", "")
		var page struct{ Items []struct{ DeliveryID string } }
		_ = json.Unmarshal(listed, &page)
		for _, item := range page.Items {
			a.do(http.MethodGet, path+"/diverted/"+item.DeliveryID, "")
			a.do(http.MethodPost, path+"/diverted/"+item.DeliveryID+"/resend", "{}")
		}
		for _, more := range []string{"/attempts", "/stats"} {
			a.do(http.MethodGet, path+more, "")
		}
		a.do(http.MethodPost, path+"/test", `{"type": "debt.paid"}`)
		a.manyAtOnce(uid)
		a.do(http.MethodPost, path+"/suspend", "")
		a.do(http.MethodPost, path+"/unsuspend", "{}")
	}
	for _, uid := range rotated {
		a.do(http.MethodPost, "/v1/webhooks/"+uid+"/test", "{}")
	}
	for _, path := range []string{"/v1/webhooks?limit=200", "/docs", "/v1/event-types", "/v1/integrations", "/v1/diverted", "/v1/rejected", "/v1/audit", "/v1/jobs", "/v1/breakers", "/v1/keys",
		"/v1/attempts?eventId=e1", "/openapi.json", "/asyncapi.json", "/donutwork/webhooks", "/ophelos/webhooks", "/receeve/webhooks", "/nowhere"} {
		a.do(http.MethodGet, path, "")
	}
	a.do(http.MethodPost, "/v1/match", `{"type": "debt.paid", "source": "/s", "id": "e", "data": {}}`)

	require.Empty(t, leaks(a.canaries, a.sinks()))
	a.p.stop(t, a.f) // what is said at the end counts too
	require.Empty(t, leaks(a.canaries, []sink{{name: "log", text: a.log()}}))
	for _, seen := range []string{"level=DEBUG", "class=timeout", "class=tls", "class=connect", "class=token", "status=404", "outcome=delivered", "outcome=dropped", "outcome=suspended"} {
		require.Contains(t, string(a.log()), seen, "not exercised")
	}
	require.Contains(t, string(a.kafka()[a.f.topics.Attempts()]), "Bearer redacted", "receivers echo what they are sent")
	a.plant(t)
}

// misuse sends secrets where they are refused: the answer must not quote them.
func (a *aviary) misuse(auths map[string]string, signing string) {
	userinfo := a.secret("userinfo")
	for _, body := range []string{
		fmt.Sprintf(`{"url": "https://u:%s@example.com/"}`, userinfo),
		fmt.Sprintf(`{"url": "https://example.com/", "auth": {"type": "oauth2", "tokenUrl": "https://u:%s@example.com/", "clientId": "c", "clientSecret": "x"}}`, userinfo),
		fmt.Sprintf(`{"url": "https://example.com/", "auth": {"type": "bearer", "token": ["%s"]}}`, a.secret("list of tokens")),
		fmt.Sprintf(`{"url": "https://example.com/", "auth": {"type": "bearer", "token": "%s\n"}}`, a.secret("token with a line break")),
		fmt.Sprintf(`{"url": "https://example.com/", "auth": {"type": "header", "name": "Host", "value": "%s"}}`, a.secret("value of a refused header")),
		fmt.Sprintf(`{"url": "https://example.com/", "auth": {"type": "mtls", "certificate": "x", "privateKey": "%s"}}`, a.secret("malformed key")),
		fmt.Sprintf(`{"url": "https://example.com/", "headers": {"Authorization": "%s"}}`, a.secret("refused custom header")),
		fmt.Sprintf(`{"url": "https://example.com/", "headers": {"X-A": "%s\n"}}`, a.secret("custom header with a line break")),
		fmt.Sprintf(`{"url": "https://example.com/", "signing": {"secrets": [{"value": "whsec_%s", "encoding": "whsec"}]}}`, a.secret("malformed signing secret")),
		fmt.Sprintf(`{"url": "https://example.com/", "signing": {"secrets": [{"value": "%s", "tag": 1}]}}`, a.secret("signing secret with a bad tag")),
		`{"url": "ftp://example.com/", "auth": ` + auths["basic"] + `, ` + signing + `}`,
		`{"url": "https://example.com/", "auth": ` + auths["bearer"] + `, "format": "none"}`,
		`{"url": "https://example.com/", "auth": ` + auths["bearer"],
	} {
		for _, path := range []string{"/v1/webhooks", "/v1/integrations"} {
			status, _ := a.do(http.MethodPost, path, body)
			require.Contains(a.t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, status, "%s", body)
		}
		a.do(http.MethodPatch, "/v1/webhooks/w1", body)
	}
	wrong := a.secret("wrong API key")
	a.do(http.MethodGet, "/v1/webhooks", "", "Authorization", "Bearer "+wrong)
	a.do(http.MethodGet, "/v1/webhooks", "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("x:"+wrong)))
}

// plant puts a canary into each kind of place and makes sure that it is found: a search that finds nothing anywhere
// would prove nothing.
func (a *aviary) plant(t *testing.T) {
	bird := a.canaries[0]
	_, _ = fmt.Fprintf(&a.f.logs, "level=DEBUG err=%q\n", "dial: "+bird.value)
	require.NoError(t, a.f.client.ProduceSync(t.Context(), &kgo.Record{Topic: a.f.topics.Rejected(), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte(bird.value)}}}).FirstErr())
	require.NoError(t, a.f.redis.HSet(t.Context(), "planted", "field", bird.value).Err())
	sinks := []sink{
		{name: "log", text: a.log()},
		{name: "topic", text: a.kafka()[a.f.topics.Rejected()]},
		{name: "Redis", text: a.redis()["planted"]},
		{name: "JSON", text: []byte(`{"a":"` + bird.value + `"}`), shown: true},
		{name: "base64", text: []byte(base64.StdEncoding.EncodeToString([]byte("user:" + bird.value)))},
		{name: "query", text: []byte("?a=" + url.QueryEscape(bird.value))},
		{name: "hex", text: fmt.Appendf(nil, "%x", bird.value)},
		{name: "bytes", text: fmt.Append(nil, []byte(bird.value))},
	}
	for _, s := range sinks {
		require.NotEmpty(t, leaks([]canary{bird}, []sink{s}), s.name)
	}
	owned := []canary{{name: "query", value: bird.value, configuration: true}}
	require.Empty(t, leaks(owned, sinks[3:4]), "its owner may see it")
	require.NotEmpty(t, leaks(owned, sinks[:1]), "nobody else")
}
