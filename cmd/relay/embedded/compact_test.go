package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

const (
	compactRecords = 1000
	compactKeys    = 20
)

// filledDir is a data directory whose compacted topic has many records for few keys.
func filledDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	k := startKafka(t, testOptions(dir))
	keyed(t, k.Addr(), testTopics.Webhooks(), compactRecords, compactKeys)
	k.Close()
	return dir
}

// requireLatest checks that the last value of every key is there, and gives the number of records it took.
func requireLatest(t *testing.T, addr string) int {
	t.Helper()
	values, records := latest(t, addr, testTopics.Webhooks())
	require.Len(t, values, compactKeys)
	for i := compactRecords - compactKeys; i < compactRecords; i++ {
		require.Equal(t, fmt.Sprint(i), values[fmt.Sprint(i%compactKeys)])
	}
	return records
}

func requireNoLeftovers(t *testing.T, dir string) {
	t.Helper()
	require.DirExists(t, filepath.Join(dir, "kafka"))
	require.NoDirExists(t, filepath.Join(dir, "kafka"+suffixCopy))
	require.NoDirExists(t, filepath.Join(dir, "kafka"+suffixOld))
}

func TestCompaction_AtStart(t *testing.T) {
	dir := filledDir(t)

	t.Run("a small directory is left alone", func(t *testing.T) {
		k := startKafka(t, testOptions(dir))
		require.Equal(t, compactRecords, requireLatest(t, k.Addr()))
		k.Close()
	})
	t.Run("a large one is compacted", func(t *testing.T) {
		o := testOptions(dir)
		o.CompactAbove = 1
		k := startKafka(t, o)
		require.Less(t, requireLatest(t, k.Addr()), compactRecords/4)
		requireNoLeftovers(t, dir)
		// Offsets go on where they were.
		keyed(t, k.Addr(), testTopics.Webhooks(), compactRecords, compactKeys)
		requireLatest(t, k.Addr())
	})
}

func TestCompaction_CrashAfterEachStep(t *testing.T) {
	errCrash := errors.New("crash")
	filled := filledDir(t)
	for crashAt := 1; crashAt <= 5; crashAt++ {
		t.Run(fmt.Sprintf("step %d", crashAt), func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, copyDir(t.Context(), filled, dir))
			err := compaction{dir: filepath.Join(dir, "kafka"), after: func(step int) error {
				if step == crashAt {
					return errCrash
				}
				return nil
			}}.run(testContext(t))
			require.ErrorIs(t, err, errCrash)

			k := startKafka(t, testOptions(dir))
			requireLatest(t, k.Addr())
			requireNoLeftovers(t, dir)
		})
	}
}

func TestRepairDir(t *testing.T) {
	// Each directory holds a file that says which it was.
	for _, tt := range []struct {
		name  string
		found []string // suffixes
		kept  string   // what becomes of "kafka"; empty: there is none
	}{
		{"nothing yet", nil, ""},
		{"whole", []string{""}, ""},
		{"during or after the copy", []string{"", suffixCopy}, ""},
		{"between the renames", []string{suffixOld, suffixCopy}, suffixOld},
		{"after the renames", []string{"", suffixOld}, ""},
		{"only the copy, which is never the truth", []string{suffixCopy}, "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "kafka")
			for _, suffix := range tt.found {
				require.NoError(t, os.Mkdir(dir+suffix, 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(dir+suffix, "was"), []byte(suffix), 0o600))
			}
			for range 2 {
				require.NoError(t, repairDir(dir))
				was, err := os.ReadFile(filepath.Join(dir, "was"))
				if len(tt.found) == 0 || tt.kept == "none" {
					require.ErrorIs(t, err, os.ErrNotExist)
				} else {
					require.NoError(t, err)
					require.Equal(t, tt.kept, string(was))
				}
				require.NoDirExists(t, dir+suffixCopy)
				require.NoDirExists(t, dir+suffixOld)
			}
		})
	}
}

func TestCompactDir_FailureLeavesTheDataAndTheStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kafka")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "meta.json"), []byte("{broken"), 0o600))

	require.NoError(t, compactDir(testContext(t), dir, 0, slog.New(slog.DiscardHandler)))
	require.FileExists(t, filepath.Join(dir, "meta.json"))
	require.NoDirExists(t, dir+suffixCopy)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, compactDir(cancelled, dir, 0, slog.New(slog.DiscardHandler)), context.Canceled)
	require.NoDirExists(t, dir+suffixCopy)
}

func TestSameOffsets(t *testing.T) {
	offsets := func(end int64) map[string]map[int32]int64 { return map[string]map[int32]int64{"a": {0: end}} }
	require.NoError(t, sameOffsets(offsets(5), offsets(5)))
	require.ErrorContains(t, sameOffsets(offsets(5), offsets(4)), "moved the end of a[0] from 5 to 4")
	require.Error(t, sameOffsets(offsets(5), nil))
}

func TestComplaintLog(t *testing.T) {
	var c complaintLog
	c.Logf(kfake.LogLevelInfo, "fine")
	require.NoError(t, c.first())
	c.Logf(kfake.LogLevelWarn, "write of %s failed", "x.dat")
	c.Logf(kfake.LogLevelError, "second")
	require.EqualError(t, c.first(), "broker of the copy: write of x.dat failed")
}
