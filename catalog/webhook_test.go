package catalog

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetryJSON(t *testing.T) {
	for text, want := range map[string]Retry{
		`"none"`:                      {Name: "none"},
		`"standard"`:                  RetryStandard,
		`{"schedule":["5s","1m30s"]}`: {Custom: []time.Duration{5 * time.Second, 90 * time.Second}},
		`{"schedule":[]}`:             {Custom: []time.Duration{}},
	} {
		var got Retry
		require.NoError(t, json.Unmarshal([]byte(text), &got), text)
		require.Equal(t, want, got)
		again, err := json.Marshal(got)
		require.NoError(t, err)
		require.JSONEq(t, text, string(again))
	}
	for _, text := range []string{`"often"`, `""`, `5`, `["5s"]`, `{"schedule":["soon"]}`, `{"schedule":"5s"}`} {
		require.Error(t, json.Unmarshal([]byte(text), new(Retry)), text)
	}
	kept := RetryStandard
	require.NoError(t, json.Unmarshal([]byte(`null`), &kept))
	require.Equal(t, RetryStandard, kept, "null leaves what is there")
}

func TestRetrySchedules(t *testing.T) {
	for name, retries := range map[string]int{"none": 0, "one": 1, "three": 3, "standard": 9} {
		require.Len(t, Retry{Name: name}.Schedule(), retries)
	}
	var total time.Duration
	for _, wait := range RetryStandard.Schedule() {
		total += wait
	}
	require.Equal(t, 75*time.Hour+35*time.Minute+5*time.Second, total)
}

func TestDurationJSON(t *testing.T) {
	var d Duration
	require.NoError(t, json.Unmarshal([]byte(`"1m"`), &d))
	require.Equal(t, Duration(time.Minute), d)
	require.NoError(t, json.Unmarshal([]byte(`null`), &d))
	require.Equal(t, Duration(time.Minute), d)
	for _, text := range []string{`15`, `"15"`, `"fast"`} {
		require.Error(t, json.Unmarshal([]byte(text), &d), text)
	}
	text, err := json.Marshal(Duration(1500 * time.Millisecond))
	require.NoError(t, err)
	require.Equal(t, `"1.5s"`, string(text))
}

func TestFailureModeFor(t *testing.T) {
	f := FailureHandling{Mode: FailureSuspend, ActOnStatusCodes: []string{"503", "4xx"}, Otherwise: FailureNone}
	for status, want := range map[int]FailureMode{503: FailureSuspend, 404: FailureSuspend, 500: FailureNone, 301: FailureNone, 0: FailureNone} {
		require.Equal(t, want, f.ModeFor(status), status)
	}
	f.ActOnTimeout = true
	require.Equal(t, FailureSuspend, f.ModeFor(0))
	for _, status := range []int{0, 302, 404, 500} {
		require.Equal(t, FailureDivert, DefaultFailureHandling().ModeFor(status), "the default loses nothing")
	}
}

func TestSuspensionDrains(t *testing.T) {
	var never *Suspension
	require.False(t, never.Drains(1))
	s := &Suspension{Epoch: 3, Kept: []int64{2}}
	for epoch, want := range map[int64]bool{1: true, 2: false, 3: true, 4: false} {
		require.Equal(t, want, s.Drains(epoch), epoch)
	}
	s.Active = true
	require.False(t, s.Drains(1), "nothing is sent on while suspended again")
}
