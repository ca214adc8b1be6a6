package receive

import "sync"

// Seen remembers the ids of the last events, so that one that comes again is known. It may be used by any number of
// goroutines.
type Seen struct {
	mu    sync.Mutex // guards all
	known map[string]struct{}
	ring  []string // the ids in known, the oldest at next once the ring is full
	next  int
}

// NewSeen remembers at most so many ids.
func NewSeen(most int) *Seen {
	return &Seen{known: make(map[string]struct{}), ring: make([]string, 0, max(1, most))}
}

// First reports whether the id has not been seen before, and remembers it.
func (s *Seen) First(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, seen := s.known[id]; seen {
		return false
	}
	s.known[id] = struct{}{}
	if len(s.ring) < cap(s.ring) {
		s.ring = append(s.ring, id)
		return true
	}
	delete(s.known, s.ring[s.next])
	s.ring[s.next] = id
	s.next = (s.next + 1) % len(s.ring)
	return true
}
