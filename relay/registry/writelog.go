package registry

import (
	"strconv"
	"strings"
	"sync"
)

// headerWrite is the header of every record that says which write made it: "<instance>-<number>". It stands on
// tombstones too, which have no value to carry it.
const headerWrite = "relay-write"

// writeLog knows which writes of this process came back through the tail. That is the one proof that a write was
// committed: the answer to the commit may have been lost. Its mutex guards all fields.
type writeLog struct {
	mu      sync.Mutex
	number  int64
	awaited map[string]bool // ids of writes under way, true once seen
	writer  string          // instance that made the latest write seen
}

func newWriteLog() *writeLog { return &writeLog{awaited: map[string]bool{}} }

// begin makes the id of a new write and watches for it until end.
func (l *writeLog) begin(instance string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	id := instance + "-" + strconv.FormatInt(l.number, 10)
	l.awaited[id] = false
	return id
}

func (l *writeLog) end(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.awaited, id)
}

// sawWrite is called by the applying goroutine for every record of a write.
func (l *writeLog) sawWrite(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writer, _, _ = strings.Cut(id, "-")
	if _, ok := l.awaited[id]; ok {
		l.awaited[id] = true
	}
}

// seen reports whether a write under way has come back.
func (l *writeLog) seen(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.awaited[id]
}

// takeOver notes that instance is the writer from here on.
func (l *writeLog) takeOver(instance string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writer = instance
}

// superseded reports whether another process has written since takeOver, which must have fenced instance.
func (l *writeLog) superseded(instance string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writer != instance
}
