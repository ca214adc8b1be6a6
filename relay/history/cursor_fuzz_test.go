package history

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzCursors: whatever a client sends as a cursor is refused, or is a place in the list.
func FuzzCursors(f *testing.F) {
	for _, text := range []string{"", "0:1,2:9223372036854775807", "1/2/dlv_1", "-1:1", ":", "//", "1:2,"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if at, err := parseCursor(text); err != nil {
			require.ErrorIs(t, err, ErrBadCursor)
		} else {
			for p, offset := range at {
				require.GreaterOrEqual(t, p, int32(0))
				require.GreaterOrEqual(t, offset, int64(0))
			}
		}
		p, err := parsePosition(text)
		if err != nil {
			require.ErrorIs(t, err, ErrBadCursor)
			return
		}
		if text != "" {
			again, err := parsePosition(p.String())
			require.NoError(t, err)
			require.Equal(t, p, again)
		}
	})
}
