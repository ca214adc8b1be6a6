package registry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPosition()
		results := make(chan error, 1)
		wait := func(ctx context.Context, at int64) { go func() { results <- p.wait(ctx, at) }() }

		wait(t.Context(), 5)
		p.advance(4)
		synctest.Wait()
		require.Empty(t, results, "not there yet")
		p.advance(6)
		require.NoError(t, <-results)
		p.advance(2)
		require.Equal(t, int64(6), p.get(), "it never goes back")

		cause := errors.New("patience")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause)
		defer cancel()
		wait(ctx, 7)
		require.Equal(t, cause, <-results)

		wait(t.Context(), 7)
		synctest.Wait()
		p.fail(ErrClosed)
		p.fail(errFenced)
		require.Equal(t, ErrClosed, <-results, "the first failure counts")
		require.NoError(t, p.wait(t.Context(), 6), "what was reached stays reached")
	})
}
