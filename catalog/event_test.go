package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpanExtract(t *testing.T) {
	raw := []byte(`{"data":{"a":1},"data_base64":"aGVsbG8="}`)
	data, err := Span{From: 8, To: 15}.Extract(raw)
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, string(data))
	require.Equal(t, len(data), cap(data), "appending to it never overwrites the record")

	data, err = Span{From: 31, To: 39, Base64: true}.Extract(raw)
	require.NoError(t, err)
	require.Equal(t, "hello", string(data))

	for _, span := range []Span{{From: -1, To: 2}, {From: 3, To: 2}, {From: 0, To: len(raw) + 1}, {From: 0, To: 5, Base64: true}} {
		_, err := span.Extract(raw)
		require.Error(t, err, span)
	}
}

func TestUserKnown(t *testing.T) {
	require.False(t, User{}.Known())
	require.True(t, User{PoolID: "p"}.Known())
}
