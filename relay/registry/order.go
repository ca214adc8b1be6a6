package registry

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// place is where a webhook stands in its tenant's list: by creation, then by uid. Neither ever changes, so a cursor
// stays good whatever is edited, created or deleted meanwhile.
type place struct {
	created int64 // Unix ns
	uid     string
}

// minCreated is before every place.
const minCreated = math.MinInt64

func placeOf(created time.Time, uid string) place {
	return place{created: created.UnixNano(), uid: uid}
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.created, q.created), strings.Compare(p.uid, q.uid))
}

// cursor is the text of a place in an API's answer.
func (p place) cursor() string { return fmt.Sprintf("%x.%s", uint64(p.created), p.uid) }

func parseCursor(text string) (place, bool) {
	created, uid, ok := strings.Cut(text, ".")
	n, err := strconv.ParseUint(created, 16, 64)
	if !ok || err != nil || uid == "" {
		return place{}, false
	}
	return place{created: int64(n), uid: uid}, true
}

// chunkPlaces bounds a chunk: inserting moves at most 512 places of 24 bytes, and 100 000 webhooks make about 300
// chunks to search by halves.
const chunkPlaces = 512

// order is a sorted set of places, kept in chunks so that one change costs O(log n), not O(n). The snapshot's mutex
// guards it.
type order struct {
	chunks [][]place // none empty
}

// chunkFor is the chunk that holds p, or would.
func (o *order) chunkFor(p place) int {
	i, _ := slices.BinarySearchFunc(o.chunks, p, func(chunk []place, p place) int { return chunk[len(chunk)-1].compare(p) })
	return min(i, len(o.chunks)-1)
}

func (o *order) insert(p place) {
	if len(o.chunks) == 0 {
		o.chunks = append(o.chunks, []place{p})
		return
	}
	c := o.chunkFor(p)
	chunk := o.chunks[c]
	at, found := slices.BinarySearchFunc(chunk, p, place.compare)
	if found {
		return
	}
	chunk = slices.Insert(chunk, at, p)
	o.chunks[c] = chunk
	if len(chunk) > chunkPlaces {
		half := len(chunk) / 2
		o.chunks[c] = chunk[:half:half]
		o.chunks = slices.Insert(o.chunks, c+1, slices.Clone(chunk[half:]))
	}
}

func (o *order) remove(p place) {
	if len(o.chunks) == 0 {
		return
	}
	c := o.chunkFor(p)
	at, found := slices.BinarySearchFunc(o.chunks[c], p, place.compare)
	if !found {
		return
	}
	o.chunks[c] = slices.Delete(o.chunks[c], at, at+1)
	if len(o.chunks[c]) == 0 {
		o.chunks = slices.Delete(o.chunks, c, c+1)
	}
}

// after returns up to limit places behind p, and whether there are more.
func (o *order) after(p place, limit int) (places []place, more bool) {
	if len(o.chunks) == 0 {
		return nil, false
	}
	for c := o.chunkFor(p); c < len(o.chunks); c++ {
		chunk := o.chunks[c]
		at, found := slices.BinarySearchFunc(chunk, p, place.compare)
		if found {
			at++
		}
		for ; at < len(chunk); at++ {
			if len(places) == limit {
				return places, true
			}
			places = append(places, chunk[at])
		}
	}
	return places, false
}
