package receive

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSeen(t *testing.T) {
	s := NewSeen(2)
	for _, step := range []struct {
		id    string
		first bool
	}{{"a", true}, {"a", false}, {"b", true}, {"a", false}, {"c", true}, {"b", false}, {"a", true}, {"c", false}, {"b", true}} {
		require.Equal(t, step.first, s.First(step.id), step.id)
	}
	require.Len(t, s.known, 2)
	require.True(t, NewSeen(0).First("x"))
}
