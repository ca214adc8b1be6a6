package intake

import (
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Ledger knows what is unsettled of one assignment of one partition, and marks the contiguous settled prefix for
// commit. Only received offsets are tracked: a gap (compaction, transaction markers) counts as settled.
//
// One mutex guards all fields and those of its entries; mark is called inside it, so that a mark can never follow
// Seal.
type Ledger struct {
	window *Window
	mark   func(*kgo.Record)

	mu         sync.Mutex
	sealed     bool
	head, tail *Entry // by offset; head is the lowest that is not marked
	open       int    // entries not resolved
	// marked is what mark is given: topic and partition of the latest record, offset and leader epoch of the marked one.
	marked  kgo.Record
	changed chan struct{} // nil while nobody waits
}

// Entry is one record in a ledger. It is resolved when as many references were settled as were held. It is small: while
// an attempt hangs, hundreds of thousands may stand resolved above it.
type Entry struct {
	ledger   *Ledger
	next     *Entry
	offset   int64
	bytes    int64
	refs     int
	epoch    int32 // of the leader, which a mark needs
	resolved bool
	// abandoned entries stay unresolved for good; no drain waits for them.
	abandoned bool
}

// newLedger marks through mark, which must only remember the offset (kgo's MarkCommitRecords) and not the record.
func newLedger(w *Window, mark func(*kgo.Record)) *Ledger {
	return &Ledger{window: w, mark: mark}
}

// Track adds a record with one reference, held by the caller. Offsets must rise. It stays in the window until the
// entry is resolved, and as a finished one until the prefix has passed it. After Seal it is only an entry to settle.
func (l *Ledger) Track(rec *kgo.Record) *Entry {
	e := &Entry{ledger: l, offset: rec.Offset, epoch: rec.LeaderEpoch, bytes: recordBytes(rec), refs: 1}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marked.Topic, l.marked.Partition = rec.Topic, rec.Partition
	if l.sealed { // lost between the inbox and here: the window must not count it for ever
		l.window.remove(1, e.bytes)
		return e
	}
	if l.tail != nil && rec.Offset <= l.tail.offset {
		panic(fmt.Sprintf("intake: %s/%d: offset %d tracked after %d", rec.Topic, rec.Partition, rec.Offset, l.tail.offset))
	}
	if l.tail == nil {
		l.head = e
	} else {
		l.tail.next = e
	}
	l.tail = e
	l.open++
	return e
}

// Hold adds n references. It must be called while the caller holds one itself.
func (e *Entry) Hold(n int) {
	e.ledger.mu.Lock()
	defer e.ledger.mu.Unlock()
	e.refs += n
}

// Settle gives up one reference: one delivery is settled or handed off. The last one resolves the entry; if
// everything before it is resolved too, the prefix is marked. After Seal nothing is marked.
func (e *Entry) Settle() {
	l := e.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	e.refs--
	if e.refs > 0 {
		return
	}
	if e.refs < 0 {
		panic(fmt.Sprintf("intake: %s/%d@%d settled more often than held", l.marked.Topic, l.marked.Partition, e.offset))
	}
	e.resolved = true
	if l.sealed {
		return
	}
	l.open--
	records := 0
	var last *Entry
	for l.head != nil && l.head.resolved {
		last = l.head
		l.head = l.head.next
		records++
	}
	if l.head == nil {
		l.tail = nil
	}
	l.window.settle(e.bytes, 1-records)
	if last != nil {
		l.marked.Offset, l.marked.LeaderEpoch = last.offset, last.epoch
		l.mark(&l.marked)
	}
	l.signal()
}

// Abandon gives up the caller's reference without settling it: the assignment ended before the record was worked
// off. Nothing is ever marked past it, so that it is read again, and no drain waits for it.
func (e *Entry) Abandon() {
	l := e.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealed || e.abandoned {
		return
	}
	e.abandoned = true
	l.open--
	l.signal()
}

// Seal ends the ledger: from now on nothing is marked, and the window no longer counts its entries. It returns how
// many were left unresolved, those abandoned not counted.
func (l *Ledger) Seal() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealed {
		return 0
	}
	l.sealed = true
	var (
		records, finished int
		bytes             int64
	)
	for e := l.head; e != nil; e = e.next {
		if e.resolved {
			finished++
			continue
		}
		records++
		bytes += e.bytes
	}
	l.head, l.tail = nil, nil
	l.window.change(records, bytes, -finished)
	return l.open
}

// signal tells those who wait for a change, which is a drain and seldom anybody. Callers hold mu.
func (l *Ledger) signal() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Open is the number of entries that may still be resolved; changed is closed at the next change.
func (l *Ledger) Open() (open int, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.open, l.changed
}

// recordBytes is what a record counts for in the window: its value and headers.
func recordBytes(rec *kgo.Record) int64 {
	n := int64(len(rec.Value) + len(rec.Key))
	for i := range rec.Headers {
		n += int64(len(rec.Headers[i].Key) + len(rec.Headers[i].Value))
	}
	return n
}
