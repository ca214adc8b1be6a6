package registry

import (
	"sync"

	"github.com/tidwall/gjson"
)

// staleRecords knows which records are sealed with another master key than the current one, so that they can be sealed
// anew and the operator learns when an old key may go. It costs nothing while there are none. Its mutex guards all
// fields.
//
// The applying goroutine notes every record. What it noted by a keyring that has been replaced counts no more, and the
// records are not kept in memory: a census reads them from the topic, up to an offset that is applied already, while
// what is applied meanwhile is noted by the new keyring and wins.
type staleRecords struct {
	mu      sync.Mutex
	offsets map[string]int64 // of each stale record, by key
	// uncounted: a census is due, because the keyring was replaced or offsets are unknown.
	uncounted bool
	// noted are the keys applied since the keyring was replaced or the census began; nil when no census is due.
	noted map[string]struct{}
}

// unknownOffset is that of a record that came from the cache.
const unknownOffset = -1

func newStaleRecords() *staleRecords { return &staleRecords{offsets: map[string]int64{}} }

// note files the latest record of a key.
func (s *staleRecords) note(key string, offset int64, stale bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noted != nil {
		s.noted[key] = struct{}{}
	}
	if !stale {
		delete(s.offsets, key)
		return
	}
	s.offsets[key] = offset
	if offset == unknownOffset && !s.uncounted {
		s.uncounted, s.noted = true, map[string]struct{}{}
	}
}

// recount demands a census: the keyring was replaced. The caller keeps records from being applied meanwhile.
func (s *staleRecords) recount() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uncounted, s.noted = true, map[string]struct{}{}
}

// counted takes the result of a census that began after recount: the stale records below an applied offset.
func (s *staleRecords) counted(found map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.offsets {
		if _, later := s.noted[key]; !later {
			delete(s.offsets, key)
		}
	}
	for key, offset := range found {
		if _, later := s.noted[key]; !later {
			s.offsets[key] = offset
		}
	}
	s.uncounted, s.noted = false, nil
}

// has reports whether the record at that offset is stale and still the latest of its key.
func (s *staleRecords) has(key string, offset int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.offsets[key]
	return ok && at == offset
}

// count is the number of stale records, and false while it is not known.
func (s *staleRecords) count() (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.offsets), !s.uncounted
}

// isStale reports whether a record's value is sealed with another master key than the current one. It looks at the
// envelope alone, so that it also knows about kinds that this version does not, and about damaged resources.
func (k *Keyring) isStale(value string) bool {
	envelope := gjson.Get(value, "sealed")
	id := envelope.Get("kek")
	return id.Exists() && (id.Str != k.current().id || envelope.Get("check").Str != k.current().check)
}
