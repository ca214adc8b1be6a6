package main

import (
	"bufio"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// full reports that a test should take the size that it is meant for, not the one that CI has time for:
// RELAY_TEST_FULL=1.
func full() bool { return os.Getenv("RELAY_TEST_FULL") != "" }

// metrics are what the process exports: summed over their labels, and under "series" how many there are.
func (p *relayProcess) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	resp, err := http.Get(p.ops + "/metrics")
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	sums := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		require.NoError(t, err, line)
		name, _, _ := strings.Cut(line[:at], "{")
		sums[name] += value
		sums[line[:at]] = value
		sums["series"]++
	}
	return sums
}

// troubles are the lines of the log that explain a repetition in a run in which nobody crashed.
func (f *fleet) troubles() string {
	f.logs.mu.Lock()
	defer f.logs.mu.Unlock()
	var lines []string
	for line := range strings.Lines(f.logs.b.String()) {
		for _, name := range []string{"drain_incomplete", "partitions_lost", "commit_failed", "fetch_failed", "class=timeout", "class=canceled"} {
			if strings.Contains(line, name) {
				lines = append(lines, line)
			}
		}
	}
	return strings.Join(lines[max(0, len(lines)-60):], "")
}
