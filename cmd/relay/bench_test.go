package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/cmd/relay/bench"
)

// The test binary plays the roles of a benchmark: from the start, as tests that run at the same time share it.
func init() {
	benchProcess = func(_ string, args []string) *exec.Cmd {
		cmd := exec.Command(os.Args[0]) //nolint:gosec // the test binary itself
		cmd.Env = append(ownEnv(), "TEST_RUN_RELAY="+strings.Join(args, "\n"))
		return cmd
	}
}

// The whole of it, small: real processes, the bare loop and the relay, and nothing lost.
func TestBench(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	profiles := filepath.Join(t.TempDir(), "profiles")

	code, stdout, stderr := runWith(t, "bench", "drain", "--json", "--rounds", "1", "--events", "2000", "--webhooks", "50", "--profile", profiles)
	require.Equal(t, exitOK, code, "%s", stderr)
	require.Contains(t, stderr, "drain: round 1 of 1, relay")

	var report struct {
		Scenarios []bench.Outcome `json:"scenarios"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &report), "%s", stdout)
	require.Len(t, report.Scenarios, 1)
	drain := report.Scenarios[0]
	require.Equal(t, "drain", drain.Scenario)
	require.Len(t, drain.Rows, 2, "the bare loop and the relay")
	for _, row := range drain.Rows {
		require.Len(t, row.Rounds, 1)
		m := row.Rounds[0]
		require.Equal(t, 2000, m.Deliveries, row.Name)
		require.Zero(t, m.Lost, row.Name)
		require.Zero(t, m.Duplicates, row.Name)
		require.Positive(t, m.Rate, row.Name)
		require.Positive(t, m.CPU, row.Name)
		require.Positive(t, m.RSS, row.Name)
		require.Positive(t, m.Connections, row.Name)
	}
	for _, name := range []string{"drain-bare-1", "drain-relay-1"} {
		for _, kind := range []string{".cpu.pprof", ".heap.pprof"} {
			text, err := os.ReadFile(filepath.Join(profiles, name+kind))
			require.NoError(t, err)
			require.True(t, bytes.HasPrefix(text, []byte{0x1f, 0x8b}), "%s%s is a profile", name, kind)
		}
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "relay-bench-*"))
	require.NoError(t, err)
	require.Empty(t, left, "temporary directories")
}

func TestBench_Table(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runWith(t, "bench", "fail", "--rounds", "1", "--events", "2000", "--webhooks", "50")
	require.Equal(t, exitOK, code, "%s", stderr)
	require.Contains(t, stdout, "fail: every fifth request answered 500 is retried")
	require.Regexp(t, `(?m)^ *relay +[0-9.]+ +[0-9.]+ `, stdout)
	require.Regexp(t, `refused once, of all deliveries +20% *\n`, stdout)
	require.Regexp(t, `lost +0 +target ≤ 0: ok`, stdout)
}

// Every kind of call is made and succeeds, and what is listed is all there is.
func TestBench_API(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runWith(t, "bench", "api", "--json", "--webhooks", "20", "--diverted", "1000")
	require.Equal(t, exitOK, code, "%s", stderr)
	var report struct {
		Scenarios []bench.Outcome `json:"scenarios"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &report), "%s", stdout)
	require.Len(t, report.Scenarios, 1)
	figures := report.Scenarios[0].Figures
	require.Len(t, figures, 22, "p50 and p99 of eleven kinds of call")
	for _, f := range figures {
		require.Positive(t, f.Value, f.Name)
	}
}

func TestBench_List(t *testing.T) {
	code, stdout, _ := runWith(t, "bench", "--list")
	require.Equal(t, exitOK, code)
	for _, name := range []string{"drain", "steady", "fanout", "many", "slow", "hang", "fail", "start", "match", "diverted", "api"} {
		require.Contains(t, stdout, name+" ")
	}
}

func TestBench_Refuses(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"an unknown scenario":         {[]string{"bench", "drian"}, exitFailed, `"drian" is not one of drain, steady`},
		"a broker on another machine": {[]string{"bench", "--kafka", "kafka.example.com:9092"}, exitUsage, "stays on this machine"},
		"no rounds":                   {[]string{"bench", "--rounds", "0"}, exitUsage, "--rounds"},
		"an unknown role":             {[]string{"bench-role", "director"}, exitFailed, "there is no such role"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := runWith(t, test.args...)
			require.Equal(t, test.code, code)
			require.Contains(t, stderr, test.says)
		})
	}
}
