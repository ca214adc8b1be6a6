package intake

import (
	"bytes"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The client's records share memory: with the other records of their batch, and uncompressed with all of the answer
// that they came in. One record that a receiver holds up for half a minute would keep megabytes from the garbage
// collector that no window counts.

// detachBelow is the largest value that is copied out of its answer. A larger one is much of its answer itself.
const detachBelow = 1 << 20

// detach gives a record a value of its own.
func detach(rec *kgo.Record) {
	if len(rec.Value) > 0 && len(rec.Value) <= detachBelow {
		rec.Value = bytes.Clone(rec.Value)
	}
}

// detached is a record of its own altogether, for those that wait for hours. A value of more than leaveOut bytes is
// left out of it.
func detached(rec *kgo.Record) (own *kgo.Record, left int) {
	c := *rec
	c.Key = bytes.Clone(rec.Key)
	c.Headers = slices.Clone(rec.Headers)
	for i := range c.Headers {
		c.Headers[i].Value = bytes.Clone(c.Headers[i].Value)
	}
	if len(rec.Value) > leaveOut {
		c.Value = nil
		return &c, len(rec.Value)
	}
	c.Value = bytes.Clone(rec.Value)
	return &c, 0
}

// leaveOut: values of records that wait are kept up to a hundred times the usual size. Larger ones are read again when
// they are due: dozens of partitions wait at once, and each holds at least its first record.
const leaveOut = 64 << 10
