package divert

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChains(t *testing.T) {
	c := newChains()
	require.NoError(t, c.wait(t.Context()), "nothing is open")
	var order []int
	c.begin()
	for i := range 3 {
		c.follow(func() {
			order = append(order, i)
			if i == 2 {
				c.end()
			}
		})
	}
	require.NoError(t, c.wait(t.Context()))
	require.Equal(t, []int{0, 1, 2}, order)

	c.begin()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.wait(ended), context.Canceled)
	c.stop()
	require.NoError(t, c.wait(ended), "what is open is given up")
}
