package intake

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestDetach(t *testing.T) {
	t.Parallel()
	answer := []byte("keyvalueheader")
	rec := &kgo.Record{Offset: 7, Key: answer[:3], Value: answer[3:8], Headers: []kgo.RecordHeader{{Key: "h", Value: answer[8:]}}}
	own, left := detached(rec)
	require.Zero(t, left)
	detach(rec)
	clear(answer)
	require.Equal(t, "value", string(rec.Value))
	require.Equal(t, "key", string(own.Key))
	require.Equal(t, "value", string(own.Value))
	require.Equal(t, "header", string(own.Headers[0].Value))
	require.EqualValues(t, 7, own.Offset)

	large := &kgo.Record{Value: bytes.Repeat([]byte("x"), leaveOut+1)}
	own, left = detached(large)
	require.Equal(t, leaveOut+1, left)
	require.Nil(t, own.Value)
	require.Len(t, large.Value, leaveOut+1, "the client's own record is as it was")
}

// A tombstone stays one.
func TestDetach_KeepsTombstones(t *testing.T) {
	t.Parallel()
	rec := &kgo.Record{}
	detach(rec)
	require.Nil(t, rec.Value)
}
