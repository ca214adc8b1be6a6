//go:build unix

package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// lockName is the lock file inside the data directory. It is never removed: removing it would let two processes each
// lock a file of that name.
const lockName = "lock"

// LockedError says that another process uses the data directory.
type LockedError struct {
	Dir string
	PID int // 0 when the holder has not written it yet
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("data directory %s is in use by another relay: stop it or choose another directory with --data", e.Dir)
	}
	return fmt.Sprintf("data directory %s is in use by the relay with process id %d: stop it or choose another directory with --data", e.Dir, e.PID)
}

// dirLock holds a data directory for this process. The system releases it when the process ends, however it ends.
type dirLock struct{ file *os.File }

// lockDir makes the directory if needed and locks it, or returns a *LockedError.
func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock of data directory: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &LockedError{Dir: dir, PID: readPID(file)}
		}
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	// The id is for the message above only; the lock is the lock.
	pid := strconv.Itoa(os.Getpid()) + "\n"
	if err := errors.Join(file.Truncate(0), writeAt(file, pid)); err != nil {
		file.Close()
		return nil, fmt.Errorf("write lock of data directory: %w", err)
	}
	return &dirLock{file: file}, nil
}

func (l *dirLock) release() error { return l.file.Close() }

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}

func readPID(file *os.File) int {
	buf := make([]byte, 20) // an int64 in decimal
	n, _ := file.ReadAt(buf, 0)
	pid, err := strconv.Atoi(string(bytes.TrimSpace(buf[:n])))
	if err != nil {
		return 0
	}
	return pid
}
