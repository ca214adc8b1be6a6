package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// buffer is a writer that several goroutines may use.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newScript(t *testing.T, dir string, api *API, out, log *buffer) (*Script, *Receiver) {
	t.Helper()
	r := startReceiver(t)
	return NewScript(ScriptOptions{
		API: api, Receiver: r, Printer: NewPrinter(out), DataDir: dir, Log: slog.New(slog.NewTextHandler(log, nil)),
		Wanted: 2, Patience: 5 * time.Second, Rest: time.Hour, Poll: time.Millisecond,
	}), r
}

func TestScript_RegisterIsIdempotent(t *testing.T) {
	f, api := newFakeAPI(t)
	dir := t.TempDir()
	var out, log buffer
	script, _ := newScript(t, dir, api, &out, &log)
	require.NoError(t, script.Register(testContext(t)))
	require.Equal(t, len(webhooks), f.creates)
	secret := secretOf(t, f, flakyID)
	require.True(t, strings.HasPrefix(secret, "whsec_"))
	require.JSONEq(t, `{"schedule":["1s","2s"]}`, asJSON(t, f.webhooks[flakyID]["retry"]))
	info, err := os.Stat(filepath.Join(dir, secretsFile))
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	f.webhooks[flakyID]["description"] = "mine"
	for _, platform := range []string{"ophelos", "socotra", "ocelot", "donutwork"} {
		require.Equal(t, platform, f.webhooks["demo-"+platform]["platform"], "made through its own API")
	}
	require.Contains(t, asJSON(t, f.integrations["demo-socotra"]["signing"]), `"encoding":"raw"`)
	f.integrations["demo-socotra"]["concurrency"] = 3
	f.webhooks["demo-raw"]["integrationName"] = "of a developer"
	f.patches = 0

	// A second start, with another address: same webhooks, same secrets.
	script, receiver := newScript(t, dir, api, &out, &log)
	require.NoError(t, script.Register(testContext(t)))
	require.Equal(t, len(webhooks), f.creates)
	require.Equal(t, len(webhooks)-2, f.patches, "all but those of an integration")
	require.Equal(t, receiver.URL()+"/socotra", f.integrations["demo-socotra"]["url"])
	require.EqualValues(t, 3, f.integrations["demo-socotra"]["concurrency"])
	require.NotContains(t, f.webhooks["demo-raw"]["url"], receiver.URL(), "it is its developer's")
	require.Equal(t, secret, secretOf(t, f, flakyID))
	require.Equal(t, receiver.URL()+"/flaky", f.webhooks[flakyID]["url"])
	require.Equal(t, "mine", f.webhooks[flakyID]["description"])
	require.Equal(t, http.StatusNoContent, deliver(t, receiver.URL()+"/flaky", secret, "msg_1", "{}"))

	// The secrets are lost: everybody gets new ones.
	require.NoError(t, os.WriteFile(filepath.Join(dir, secretsFile), []byte("{"), 0o600))
	script, receiver = newScript(t, dir, api, &out, &log)
	require.NoError(t, script.Register(testContext(t)))
	require.NotEqual(t, secret, secretOf(t, f, flakyID))
	require.Equal(t, http.StatusNoContent, deliver(t, receiver.URL()+"/flaky", secretOf(t, f, flakyID), "msg_1", "{}"))
}

func TestScript_RegisterNamesTheWebhook(t *testing.T) {
	f, api := newFakeAPI(t)
	f.broken = 1
	var out, log buffer
	script, _ := newScript(t, t.TempDir(), api, &out, &log)
	require.ErrorContains(t, script.Register(testContext(t)), "demo-standard")
}

func secretOf(t *testing.T, f *fakeAPI, id string) string {
	t.Helper()
	var signing struct {
		Enabled bool
		Secrets []struct{ Value, Encoding string }
	}
	require.NoError(t, json.Unmarshal([]byte(asJSON(t, f.webhooks[id]["signing"])), &signing))
	require.True(t, signing.Enabled)
	require.Len(t, signing.Secrets, 1)
	require.Equal(t, "whsec", signing.Secrets[0].Encoding)
	return signing.Secrets[0].Value
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

func TestScript_ARound(t *testing.T) {
	f, api := newFakeAPI(t)
	var out, log buffer
	script, receiver := newScript(t, t.TempDir(), api, &out, &log)
	require.NoError(t, script.Register(testContext(t)))
	secret := secretOf(t, f, flakyID)
	failing := func() bool {
		return deliver(t, receiver.URL()+"/flaky", secret, "msg_1", "{}") == http.StatusServiceUnavailable
	}

	// The fake relay diverts one event each time it is asked while the receiver fails; the API is down at first.
	f.mu.Lock()
	f.broken = 3
	f.onList = func(f *fakeAPI) {
		if len(f.resent) == 0 && failing() {
			f.diverted = append(f.diverted, Diverted{
				DeliveryID: fmt.Sprintf("dlv_%d", len(f.diverted)), EventType: "debt.paid", Reason: "exhausted", State: "diverted"})
			return
		}
		if len(f.resent) > 0 {
			f.diverted = nil // the resends have arrived
		}
	}
	f.mu.Unlock()

	ctx, cancel := context.WithCancel(testContext(t))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		script.Run(ctx)
	}()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "has been delivered") }, 10*time.Second, 5*time.Millisecond)
	cancel()
	<-ended

	require.Len(t, f.resent, 2)
	require.False(t, failing())
	for _, part := range []string{"now answers 503", "works again. demo-flaky has 2 diverted events", "POST /v1/webhooks/demo-flaky/diverted/dlv_0/resend", "debt.paid, exhausted"} {
		require.Contains(t, out.String(), part)
	}
	require.Empty(t, log.String())
}

func TestScript_GoesOnWhenAStepFails(t *testing.T) {
	_, api := newFakeAPI(t)
	var out, log buffer
	script, receiver := newScript(t, t.TempDir(), api, &out, &log)
	require.NoError(t, receiver.Expect("/flaky", testSecret))
	script.o.Patience, script.o.Rest = 5*time.Millisecond, time.Millisecond

	ctx, cancel := context.WithCancel(testContext(t))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		script.Run(ctx)
	}()
	require.Eventually(t, func() bool { return strings.Count(out.String(), "now answers 503") > 2 }, 10*time.Second, 5*time.Millisecond)
	cancel()
	<-ended
	require.Contains(t, log.String(), "waited 5ms for 2 diverted events of demo-flaky")
}

func TestWebhooks_OneForEachFormat(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range Webhooks() {
		seen[string(w.Format)] = true
		require.True(t, strings.HasPrefix(w.ID, "demo-"), w.ID)
		if len(w.Filter) > 0 {
			require.True(t, json.Valid(w.Filter), w.ID)
		}
	}
	for _, format := range []string{"standard", "cloudevents", "cloudevents-binary", "raw"} {
		require.True(t, seen[format], format)
	}
}
