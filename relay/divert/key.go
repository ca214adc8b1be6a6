package divert

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

// Key names one generation of a diverted event.
type Key struct {
	UID      string
	Delivery string
	// Generation counts the resends before it was diverted.
	Generation int
}

const (
	markerSuffix  = "/resending"
	barrierPrefix = "barrier/"
)

// KeyOf is the key under which d is diverted now.
func KeyOf(d *relay.Delivery) Key { return Key{UID: d.UID, Delivery: d.ID, Generation: d.Resends} }

// String is the record key: uid/delivery/n.
func (k Key) String() string { return k.UID + "/" + k.Delivery + "/" + strconv.Itoa(k.Generation) }

func (k Key) marker() string { return k.String() + markerSuffix }

// ParseKey reads what String wrote. Uids and delivery ids are generated and hold no slash.
func ParseKey(text string) (Key, error) {
	uid, rest, ok := strings.Cut(text, "/")
	delivery, number, ok2 := strings.Cut(rest, "/")
	n, err := strconv.Atoi(number)
	k := Key{UID: uid, Delivery: delivery, Generation: n}
	if !ok || !ok2 || err != nil || uid == "" || delivery == "" || n < 0 || k.String() != text {
		return Key{}, fmt.Errorf("%w: key %q is not uid/delivery/n", relay.ErrBadRecord, shorten(text))
	}
	return k, nil
}

// barrierKey is the key of the record that gives a partition a last record.
func barrierKey(partition int32) string {
	return barrierPrefix + strconv.FormatInt(int64(partition), 10)
}

// hashed hashes as every Kafka producer does by default (murmur2 of the key).
var hashed = kgo.StickyKeyPartitioner(nil).ForTopic("")

// partitionOfUID is the partition that holds all diverted events of a webhook.
func partitionOfUID(uid string, partitions int) int32 {
	return int32(hashed.Partition(&kgo.Record{Key: []byte(uid)}, partitions))
}

// partitionOf derives the partition from the key alone, so that it is the same whoever writes the record and however
// often: by the uid before the first slash, or the one that a barrier names.
func partitionOf(rec *kgo.Record, partitions int) int {
	key := string(rec.Key)
	if number, ok := strings.CutPrefix(key, barrierPrefix); ok {
		if p, err := strconv.Atoi(number); err == nil && p >= 0 && p < partitions {
			return p
		}
	}
	uid, _, _ := strings.Cut(key, "/")
	return int(partitionOfUID(uid, partitions))
}

// shorten bounds foreign text for errors and logs.
func shorten(text string) string {
	const most = 120 // bytes: two ids and a number fit
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
