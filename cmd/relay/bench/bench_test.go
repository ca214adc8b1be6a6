package bench

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// What was measured is printed as JSON although a scenario fails; here none was measured before.
func TestRun_PrintsWhatItHasWhenAScenarioFails(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	err := Run(t.Context(), Options{Scenarios: []string{"drain"}, JSON: true, Out: &out, Err: io.Discard,
		Command: func(...string) *exec.Cmd { return exec.Command("false") }})
	require.ErrorContains(t, err, "drain: ")
	var printed struct {
		CPUs int `json:"cpus"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &printed), "%s", &out)
	require.Positive(t, printed.CPUs)
}
