package bench

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIndexer(t *testing.T) {
	got := ask[indexed](t, indexer{}, "measure", 100)
	require.Positive(t, got.Match)
	require.Positive(t, got.Bytes)
}
