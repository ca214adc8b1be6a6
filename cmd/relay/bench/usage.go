package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"
)

// usage is what a process has used so far.
type usage struct {
	At   time.Time     `json:"at"`
	CPU  time.Duration `json:"cpu"`  // user and system time of all its threads
	RSS  int64         `json:"rss"`  // bytes, the highest so far
	Heap int64         `json:"heap"` // bytes of objects, not yet collected ones included
}

// heapObjects is the runtime's name for the bytes of live objects and of garbage that is not yet swept. Reading it
// does not stop the process.
const heapObjects = "/memory/classes/heap/objects:bytes"

func usageNow() usage {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // fails for bad arguments only
	sample := []metrics.Sample{{Name: heapObjects}}
	metrics.Read(sample)
	return usage{
		At: time.Now(), CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()),
		RSS: int64(r.Maxrss) * rssUnit(), Heap: int64(sample[0].Value.Uint64()),
	}
}

// rssUnit is what the system counts the resident set in: KiB on Linux, bytes on macOS.
func rssUnit() int64 {
	if runtime.GOOS == "darwin" {
		return 1
	}
	return 1 << 10
}

// profile is the CPU profile that is being written; one at a time in a process.
var profile struct {
	mu   sync.Mutex
	file *os.File
}

// startProfile begins a CPU profile in the file that with names.
func startProfile(raw json.RawMessage) (any, error) {
	path, err := with[string](raw)
	if err != nil {
		return nil, err
	}
	profile.mu.Lock()
	defer profile.mu.Unlock()
	file, err := os.Create(path) //nolint:gosec // in the directory that --profile names
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("start the CPU profile: %w", err)
	}
	profile.file = file
	return nil, nil
}

// stopProfile ends the CPU profile and writes a heap profile to the file that with names.
func stopProfile(raw json.RawMessage) (any, error) {
	path, err := with[string](raw)
	if err != nil {
		return nil, err
	}
	profile.mu.Lock()
	defer profile.mu.Unlock()
	pprof.StopCPUProfile()
	if profile.file != nil {
		if err := profile.file.Close(); err != nil {
			return nil, err
		}
		profile.file = nil
	}
	heap, err := os.Create(path) //nolint:gosec // in the directory that --profile names
	if err != nil {
		return nil, err
	}
	if err := pprof.Lookup("allocs").WriteTo(heap, 0); err != nil {
		_ = heap.Close()
		return nil, fmt.Errorf("write the heap profile: %w", err)
	}
	return nil, heap.Close()
}
