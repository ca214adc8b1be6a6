package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func TestListen_VerifiesAndAnswersAsTold(t *testing.T) {
	secret := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	ctx, stop := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		c := &listenCmd{Addr: "127.0.0.1:0", Secret: catalog.NewSecret(secret), Status: 503}
		done <- c.Run(ctx, streams{Out: writer})
	}()
	lines := bufio.NewScanner(reader)
	require.True(t, lines.Scan())
	url := strings.Fields(lines.Text())[2]
	url = strings.TrimSuffix(url, ",")

	signer, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	body, now := "{\"a\":\"\x1b[2J\"}", time.Now()
	signature, err := signer.Sign("msg_1", now, []byte(body))
	require.NoError(t, err)
	for _, c := range []struct{ signature, want string }{{signature, "signature valid"}, {"v1,AAAA", "signature INVALID"}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("webhook-id", "msg_1")
		req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		req.Header.Set("webhook-signature", c.signature)
		answered := make(chan int, 1)
		go func() {
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				_ = resp.Body.Close()
				answered <- resp.StatusCode
			}
		}()
		var printed []string
		for range 4 {
			require.True(t, lines.Scan())
			printed = append(printed, lines.Text())
		}
		require.Equal(t, 503, <-answered)
		require.Contains(t, strings.Join(printed, "\n"), c.want)
		require.NotContains(t, strings.Join(printed, "\n"), "\x1b", "a sender cannot steer the terminal")
	}
	stop()
	require.NoError(t, <-done)
}

func TestListen_RefusesASecretWithoutQuotingIt(t *testing.T) {
	err := (&listenCmd{Addr: "127.0.0.1:0", Secret: catalog.NewSecret("not base64 !"), Status: 200}).Run(t.Context(), streams{Out: io.Discard})
	require.ErrorContains(t, err, "--secret")
	require.NotContains(t, err.Error(), "not base64 !")
}
