package demo

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func startReceiver(t *testing.T) *Receiver {
	t.Helper()
	r, err := StartReceiver(testContext(t), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// deliver posts a signed webhook and gives the status.
func deliver(t *testing.T, url, secret, id, body string) int {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	now := time.Now()
	signature, err := signer.Sign(id, now, []byte(body))
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(testContext(t), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Close = true
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", fmt.Sprint(now.Unix()))
	req.Header.Set("webhook-signature", signature)
	req.Header.Set("webhook-event-type", "debt.paid")
	req.Header.Set("webhook-attempt", "1")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestReceiver_VerifiesFailsAndRecovers(t *testing.T) {
	r := startReceiver(t)
	require.NoError(t, r.Expect("/flaky", testSecret))

	require.Equal(t, http.StatusNotFound, deliver(t, r.URL()+"/other", testSecret, "msg_1", "{}"))
	require.Equal(t, http.StatusNoContent, deliver(t, r.URL()+"/flaky", testSecret, "msg_1", `{"a":1}`))
	require.Equal(t, http.StatusUnauthorized, deliver(t, r.URL()+"/flaky", "whsec_"+strings.Repeat("b", 32), "msg_2", "{}"))
	r.SetFailing("/flaky", true)
	require.Equal(t, http.StatusServiceUnavailable, deliver(t, r.URL()+"/flaky", testSecret, "msg_3", "{}"))
	require.NoError(t, r.Expect("/flaky", testSecret), "announcing it again repairs nothing")
	require.Equal(t, http.StatusServiceUnavailable, deliver(t, r.URL()+"/flaky", testSecret, "msg_3", "{}"))
	r.SetFailing("/flaky", false)
	require.Equal(t, http.StatusNoContent, deliver(t, r.URL()+"/flaky", testSecret, "msg_3", "{}"))

	require.EqualValues(t, 2, r.Accepted("/flaky"))
	latest := r.Latest("/flaky")
	require.Len(t, latest, 5)
	require.Equal(t, "msg_1", latest[0].WebhookID)
	require.Equal(t, "debt.paid", latest[0].EventType)
	require.Equal(t, `{"a":1}`, string(latest[0].Body))
	require.NotEmpty(t, latest[1].Err)

	req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, r.URL()+"/flaky", nil)
	require.NoError(t, err)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}

func TestReceiver_MemoryIsBounded(t *testing.T) {
	r := startReceiver(t)
	require.NoError(t, r.Expect("/x", testSecret))
	large := strings.Repeat("x", 2*keptBody)
	for i := range keptReceived + 20 {
		require.Equal(t, http.StatusNoContent, deliver(t, r.URL()+"/x", testSecret, fmt.Sprint("msg_", i), large))
	}
	latest := r.Latest("/x")
	require.Len(t, latest, keptReceived)
	require.Equal(t, "msg_20", latest[0].WebhookID)
	require.Equal(t, fmt.Sprint("msg_", keptReceived+19), latest[keptReceived-1].WebhookID)
	require.Len(t, latest[0].Body, keptBody)
}

func TestReceiver_RefusesASecretWithoutQuotingIt(t *testing.T) {
	err := startReceiver(t).Expect("/x", "whsec_canary!")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "canary")
}

func TestStartReceiver_AddressTakenNamesTheFlag(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, err = StartReceiver(testContext(t), taken.Addr().String(), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "--receiver-addr")
}
