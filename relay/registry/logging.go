package registry

import (
	"log/slog"
	"time"
)

// logFailuresEvery spaces the lines about a failure that goes on.
const logFailuresEvery = 30 * time.Second

// limitedLog logs the first failure of a row, then one in logFailuresEvery, then the recovery. It belongs to one
// goroutine.
type limitedLog struct {
	log    *slog.Logger
	last   time.Time
	failed bool
}

func (l *limitedLog) warn(msg string, args ...any) {
	if l.failed && time.Since(l.last) < logFailuresEvery {
		return
	}
	l.failed, l.last = true, time.Now()
	l.log.Warn(msg, args...)
}

func (l *limitedLog) recovered(msg string, args ...any) {
	if l.failed {
		l.failed = false
		l.log.Info(msg, args...)
	}
}
