package intake

import (
	"bytes"
	"errors"
	"hash/crc32"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestRow22_CommitRefused: a commit that lacks a permission turns readiness red, because a restart would repeat all of it.
func TestRow22_CommitRefused(t *testing.T) {
	t.Parallel()
	cluster, opts, client := kafka(t, 1)
	refused := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: "g", Err: kerr.GroupAuthorizationFailed, Count: -1})
	publish(t, client, 0, 2)
	m := join(t, opts, nil)
	m.settleAll(t, 2)
	require.Eventually(t, func() bool { return len(m.group.Refused()) == 1 }, waitFor, tick)
	require.Contains(t, m.group.Refused()[0], "commit of group g: ")
	refused.Remove()
	require.Eventually(t, func() bool { return committed(t, client)[0] == 2 && len(m.group.Refused()) == 0 }, waitFor, tick)
}

func (m *member) fetchErrors(t *testing.T) float64 {
	t.Helper()
	var metric dto.Metric
	require.NoError(t, m.group.metrics.fetchErrors.Write(&metric))
	return metric.GetCounter().GetValue()
}

// batch is one record batch of the wire, before its checksum.
func batch(attributes int16, records []byte, n int32) kmsg.RecordBatch {
	b := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: attributes, LastOffsetDelta: n - 1, ProducerID: -1, ProducerEpoch: -1,
		FirstSequence: -1, NumRecords: n, Records: records}
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12)
	raw = b.AppendTo(nil)
	b.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// TestRow85a_UnreadableBatches: a batch that inflates without end, one whose checksum is wrong and one that is no
// compressed data halt their partition with an alarm. The process lives, nothing is passed and nothing spins.
func TestRow85a_UnreadableBatches(t *testing.T) {
	t.Parallel()
	zeros, err := kgo.DefaultCompressor(kgo.ZstdCompression())
	require.NoError(t, err)
	inflated, codec := zeros.Compress(new(bytes.Buffer), make([]byte, 256<<20))
	bomb := batch(int16(codec), inflated, 1)
	damaged := batch(0, []byte{20, 0, 0, 0, 1, 6, 'a', 'b', 'c', 0}, 1)
	damaged.CRC++
	garbage := batch(int16(kgo.CodecGzip), []byte("this is not gzip"), 1)
	for name, b := range map[string]kmsg.RecordBatch{"decompression bomb": bomb, "wrong checksum": damaged, "not compressed data": garbage} {
		t.Run(name, func(t *testing.T) {
			_, opts, client := kafka(t, 1, kfake.SyntheticFetch(kfake.SyntheticBatch{Batch: b.AppendTo(nil)}))
			m := join(t, opts, nil)
			require.Eventually(t, func() bool { return len(m.group.Halted()) == 1 }, waitFor, tick)
			failed := m.fetchErrors(t)
			require.LessOrEqual(t, failed, 4.0)
			require.Never(t, func() bool { return m.fetchErrors(t) > failed }, 2*gateEvery, tick, "nobody asks again")
			require.Empty(t, m.taken)
			require.Empty(t, committed(t, client))
		})
	}
}

func TestRefusal_HaltsOnlyWhatStaysUnreadable(t *testing.T) {
	garbled := errors.New("encoded crc does not match")
	for name, c := range map[string]struct {
		errs []error
		halt bool
	}{
		"refused for long":         {[]error{kerr.TopicAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.TopicAuthorizationFailed}, false},
		"garbled on the way":       {[]error{garbled, garbled}, false},
		"garbled in the log":       {[]error{garbled, garbled, garbled}, true},
		"garbled, then refused":    {[]error{garbled, garbled, kerr.TopicAuthorizationFailed, garbled}, false},
		"the group could not join": {[]error{&kgo.ErrGroupSession{Err: garbled}, &kgo.ErrGroupSession{Err: garbled}, &kgo.ErrGroupSession{Err: garbled}}, false},
	} {
		var (
			r    refusal
			halt bool
		)
		for _, err := range c.errs {
			halt = r.again(err, time.Now())
		}
		require.Equal(t, c.halt, halt, name)
	}
}
