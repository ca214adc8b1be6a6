package jobs

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// board is what the topic says, as far as it has been read. mu guards everything.
type board struct {
	mu   sync.Mutex
	jobs map[string]*Job // by id; without a Tenant while the definition has not come
	// order holds the jobs that have a definition, the oldest first.
	order []*Job
	// covered: everything below is applied. -1 until the first record or an empty topic was seen.
	covered int64
	changed chan struct{} // closed and replaced when covered grows
}

func newBoard() *board {
	return &board{jobs: map[string]*Job{}, covered: -1, changed: make(chan struct{})}
}

// reset forgets everything, because the topic is read anew.
func (b *board) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jobs, b.order, b.covered = map[string]*Job{}, nil, -1
}

// apply applies changes and then moves the position, so that whoever waits for an offset finds all of it in place.
func (b *board) apply(changes []change, covered int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		b.applyOne(c)
	}
	if covered > b.covered {
		b.covered = covered
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

func (b *board) applyOne(c change) {
	j := b.jobs[c.id]
	if j == nil {
		j = &Job{}
		b.jobs[c.id] = j
	}
	switch c.part {
	case partDefinition:
		if j.Tenant != "" {
			at, _ := slices.BinarySearchFunc(b.order, j, byAge)
			b.order = slices.Delete(b.order, at, at+1)
			j.Definition = Definition{}
		}
		if c.definition != nil {
			j.Definition = *c.definition
			at, _ := slices.BinarySearchFunc(b.order, j, byAge)
			b.order = slices.Insert(b.order, at, j)
		}
	case partProgress:
		j.Progress = Progress{}
		if c.progress != nil {
			j.Progress = *c.progress
		}
	case partCancel:
		j.CancelRequested = c.cancelled
	}
	if *j == (Job{}) {
		delete(b.jobs, c.id)
	}
}

func byAge(a, b *Job) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
}

// position returns up to where the topic is applied, and a channel that is closed when that changes.
func (b *board) position() (int64, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.covered, b.changed
}

func (b *board) get(id string) (Job, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.jobs[id]
	if j == nil || j.Tenant == "" {
		return Job{}, false
	}
	return *j, true
}

// open lists what is not finished, the oldest first.
func (b *board) open() []Job {
	b.mu.Lock()
	defer b.mu.Unlock()
	var open []Job
	for _, j := range b.order {
		if !j.State().Final() {
			open = append(open, *j)
		}
	}
	return open
}

func (b *board) openOf(tenant string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, j := range b.order {
		if j.Tenant == tenant && !j.State().Final() {
			n++
		}
	}
	return n
}

// outdated lists what need not be kept any more: finished before oldest, or more than maxFinished of a tenant.
func (b *board) outdated(oldest time.Time, maxFinished int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	kept := map[string]int{}
	for _, j := range slices.Backward(b.order) {
		if !j.State().Final() {
			continue
		}
		if kept[j.Tenant]++; j.Progress.Finished.Before(oldest) || kept[j.Tenant] > maxFinished {
			ids = append(ids, j.ID)
		}
	}
	return ids
}

// list returns up to limit of a tenant's jobs that keep accepts, the newest first, and older than the one named.
func (b *board) list(tenant string, after *Job, limit int, keep func(*Job) bool) (page []Job, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	end := len(b.order)
	if after != nil {
		end, _ = slices.BinarySearchFunc(b.order, after, byAge)
	}
	for _, j := range slices.Backward(b.order[:end]) {
		if j.Tenant != tenant || !keep(j) {
			continue
		}
		if len(page) == limit {
			return page, true
		}
		page = append(page, *j)
	}
	return page, false
}
