package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answerBytes bounds what is read of an answer of the relay.
const answerBytes = 16 << 20

// adminCall makes a request to the relay's admin API and decodes the answer.
func (p *relayProcess) adminCall(ctx context.Context, method, path string, into any) error {
	return p.adminSend(ctx, method, path, nil, into)
}

// adminSend is an adminCall with a body in JSON; nil sends none.
func (p *relayProcess) adminSend(ctx context.Context, method, path string, send, into any) error {
	var text []byte
	if send != nil {
		var err error
		if text, err = json.Marshal(send); err != nil {
			return fmt.Errorf("%s %s: encode: %w", method, path, err)
		}
	}
	body, err := p.send(ctx, method, p.admin+path, text)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func (p *relayProcess) request(ctx context.Context, method, url string) ([]byte, error) {
	return p.send(ctx, method, url, nil)
}

func (p *relayProcess) send(ctx context.Context, method, url string, send []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(send))
	if err != nil {
		return nil, err
	}
	if send != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+benchAdminKey)
	req.Header.Set("Relay-Tenant", tenantOf(0, 1))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %.300s", method, url, resp.Status, body)
	}
	return body, nil
}

// metric is the value of one time series of the relay; 0 when it is not there.
func (p *relayProcess) metric(ctx context.Context, series string) (float64, error) {
	values, err := p.metrics(ctx, series)
	return values[series], err
}

// metrics are the values of the time series whose name and labels begin so.
func (p *relayProcess) metrics(ctx context.Context, prefix string) (map[string]float64, error) {
	body, err := p.request(ctx, http.MethodGet, p.ops+"/metrics")
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		series, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || !strings.HasPrefix(series, prefix) {
			continue
		}
		if values[series], err = strconv.ParseFloat(text, 64); err != nil {
			return nil, fmt.Errorf("metric %s: %w", series, err)
		}
	}
	return values, nil
}

// askEvery is how often a relay is asked whether it has come so far.
const askEvery = 50 * time.Millisecond

// await asks until done, an error of the relay's role or the end of patience. what names the wait.
func (p *relayProcess) await(ctx context.Context, what string, patience time.Duration, done func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %s: %s", patience, what))
	defer cancel()
	var last error
	for {
		if err := p.call(ctx, "alive", nil, nil); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		ok, err := done(ctx)
		if ok {
			return nil
		}
		last = err
		if !until(ctx, time.Now().Add(askEvery)) {
			if last != nil {
				return fmt.Errorf("%w (%w)", context.Cause(ctx), last)
			}
			return context.Cause(ctx)
		}
	}
}

// awaitReady waits for /readyz.
func (p *relayProcess) awaitReady(ctx context.Context) error {
	return p.await(ctx, "the relay is ready", time.Minute, func(ctx context.Context) (bool, error) {
		_, err := p.request(ctx, http.MethodGet, p.ops+"/readyz")
		return err == nil, err
	})
}
