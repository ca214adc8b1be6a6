package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
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

// listened is what `relay listen` prints of a request, without its first line, which has the time.
func listened(t *testing.T, p *requestPrinter, header http.Header, body string) string {
	t.Helper()
	var out strings.Builder
	p.out = &out
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header = header
	p.print(r, []byte(body))
	lines := strings.SplitN(out.String(), "\n", 3)
	require.Len(t, lines, 3)
	return lines[2]
}

func TestListen_Formats(t *testing.T) {
	const sms = `{"name":"PhoneNumber.optedIn","eventId":"evt_1","dateTime":"2026-03-01T12:34:56Z"}`
	const failure = `{"actualStatus":"503","eventData":{},"expectedStatus":"2xx","url":"https://example.com","webhookName":"claims"}`
	basic := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Basic dTpw"}}
	guessed := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Basic guess"}}
	for _, tc := range []struct {
		flags  string
		header http.Header
		body   string
		says   []string
	}{
		{"--format ocelot --user u --secret p", guessed, sms, []string{"signature INVALID: not sent by whom it should be: wrong user or password", "envelope valid: PhoneNumber.optedIn, id evt_1\n"}},
		{"--format ocelot --user u --secret p", basic, sms, []string{"signature valid", "envelope valid: PhoneNumber.optedIn, id evt_1\n"}},
		{"--format ocelot", basic, sms, []string{"not checked (give --secret)", "envelope valid"}},
		{"--format ocelot", basic, `{"name":"PhoneNumber.optedIn"}`, []string{"envelope INVALID: not as documented: eventId: it is missing"}},
		{"--format socotra", basic, failure, []string{"envelope valid: FailureMessage of webhook claims: 503"}},
		{"--format receeve", basic, `{"payload":{}}`, []string{"not checked (give --public-key)", "envelope INVALID"}},
		{"--format receeve --public-key /nowhere", basic, `{"payload":{}}`, []string{"INVALID: the public key is not known"}},
		{"", basic, "anything", []string{"not checked (give --secret)\n  anything\n"}},
	} {
		command, err := parseArgs(append([]string{"listen"}, strings.Fields(tc.flags)...), io.Discard, io.Discard)
		require.NoError(t, err)
		p, err := selected(command).(*listenCmd).printer(nil)
		require.NoError(t, err)
		printed := listened(t, p, tc.header, tc.body)
		for _, says := range tc.says {
			require.Contains(t, printed, says, tc.flags)
		}
		if strings.Contains(printed, "signature valid") {
			require.Contains(t, listened(t, p, tc.header, tc.body), "id evt_1, seen before")
		}
	}
}

func TestListen_Arguments(t *testing.T) {
	for args, want := range map[string]string{
		"--format telegram":                       `--format is "telegram": must be one of standard`,
		"--user u --secret p":                     "--user is set, which only --format ocelot has a use for",
		"--format ocelot --secret p":              "--user and --secret belong together",
		"--format ocelot --user u":                "--user and --secret belong together",
		"--format socotra --public-key x":         "--public-key is set, which only --format receeve has a use for",
		"--format receeve --secret whsec_canary=": "--secret is set, but receeve signs with a key pair",
	} {
		_, err := parseArgs(append([]string{"listen"}, strings.Fields(args)...), io.Discard, io.Discard)
		require.ErrorContains(t, err, want, args)
		require.NotContains(t, err.Error(), "canary")
	}
}
