package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func TestEventTypes(t *testing.T) {
	withKeys(t)
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	require.NoError(t, os.WriteFile(good, []byte("domain: fleet\ngroups:\n- types:\n  - name: vehicle.sold\n"), 0o600))
	require.NoError(t, os.WriteFile(bad, []byte("domain: debt\ngroups:\n- types:\n  - name: debt.paid\n"), 0o600))

	_, err := parse("serve", "--event-types", good+","+bad)
	require.ErrorContains(t, err, `--event-types (RELAY_EVENT_TYPES, eventTypes in the file) is refused: `+bad+`:4: "debt.paid" is listed already`)
	_, err = parse("publish", "--sample", "debt.paid", "--event-types", filepath.Join(dir, "none.yaml"))
	require.ErrorContains(t, err, "none.yaml: no such file")

	_, err = parse("dev", "--event-types", good)
	require.NoError(t, err)
	require.False(t, catalog.IsKnownType("vehicle.sold"), "looking at the configuration changes nothing")
	require.NoError(t, catalogConfig{EventTypes: []string{good}}.use())
	t.Cleanup(func() { require.NoError(t, catalogConfig{}.use()) })
	require.True(t, catalog.IsKnownType("vehicle.sold"))
	require.True(t, catalog.IsDomain("fleet"))
}
