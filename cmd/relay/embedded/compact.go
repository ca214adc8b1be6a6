package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Compaction keeps the files of a long-lived development broker small. The broker rewrites segments in place, and a
// kill in between loses records, so that it works on a copy. With the broker's directory called kafka:
//
//	step                                    what a crash before the next step leaves, and what repairDir does
//	1 copy kafka to kafka.compacting        kafka is whole; the copy is removed
//	2 compact the copy, flush it to disk    kafka is whole; the copy is removed
//	3 rename kafka to kafka.old             no kafka; kafka.old is whole and is renamed back, the copy is removed
//	4 rename kafka.compacting to kafka      kafka is whole (compacted); kafka.old is removed
//	5 remove kafka.old                      the same, with part of kafka.old gone
//
// So kafka.old is the truth exactly when there is no kafka, and kafka.compacting never is.
const (
	suffixCopy = ".compacting"
	suffixOld  = ".old"
)

// compactionTimeout bounds the questions to the copy, not the compaction.
const compactionTimeout = time.Minute

// repairDir completes or undoes what a crash interrupted. It is idempotent.
func repairDir(dir string) error {
	switch _, err := os.Stat(dir); {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		if err := os.Rename(dir+suffixOld, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("bring back the data from before an interrupted compaction: %w", err)
		}
	default:
		return fmt.Errorf("look at Kafka data: %w", err)
	}
	for _, leftover := range []string{dir + suffixCopy, dir + suffixOld} {
		if err := os.RemoveAll(leftover); err != nil {
			return fmt.Errorf("remove the leftover of an interrupted compaction: %w", err)
		}
	}
	return nil
}

// compactDir compacts the broker's directory if it is larger than above. It is an optimisation: when it fails the
// directory is as it was, the failure is logged and the start goes on. Only the end of ctx, and a directory that could
// not be left whole, are errors.
func compactDir(ctx context.Context, dir string, above int64, log *slog.Logger) error {
	size, err := dirSize(dir)
	if err != nil {
		return fmt.Errorf("measure Kafka data: %w", err)
	}
	if size <= above {
		return nil
	}
	started := time.Now()
	if err := (compaction{dir: dir}).run(ctx); err != nil {
		if repairErr := repairDir(dir); repairErr != nil {
			return errors.Join(err, repairErr)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		log.Warn("kafka_compaction_failed", "dir", dir, "err", err, "hint", "the data is as it was; free disk space if that is the reason")
		return nil
	}
	after, _ := dirSize(dir)
	log.Info("kafka_compacted", "dir", dir, "bytes_before", size, "bytes_after", after, "took", time.Since(started))
	return nil
}

// compaction is one run of the steps above.
type compaction struct {
	dir string
	// after is called after each step, by its number; an error ends the run there as a crash would. Nil but in tests.
	after func(step int) error
}

func (c compaction) run(ctx context.Context) error {
	copied, old := c.dir+suffixCopy, c.dir+suffixOld
	for i, step := range []func() error{
		func() error { return copyDir(ctx, c.dir, copied) },
		func() error { return errors.Join(compactBroker(ctx, copied), syncDir(copied)) },
		func() error { return renameDurably(c.dir, old) },
		func() error { return renameDurably(copied, c.dir) },
		func() error { return os.RemoveAll(old) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("compaction step %d: %w", i+1, err)
		}
		if c.after != nil {
			if err := c.after(i + 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// compactBroker loads the copy into a broker that nobody can reach, compacts and saves it. The broker logs its write
// errors and goes on, so each of its warnings fails the compaction; so does any end offset that moved.
func compactBroker(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, compactionTimeout, fmt.Errorf("the copy did not answer within %s", compactionTimeout))
	defer cancel()
	var complaints complaintLog
	gate := newGate(nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
	cluster, err := newBroker(dir, gate, &complaints)
	if err != nil {
		return fmt.Errorf("load the copy: %w", err)
	}
	before, err := endOffsets(ctx, gate)
	if err == nil {
		cluster.Compact()
		var after map[string]map[int32]int64
		if after, err = endOffsets(ctx, gate); err == nil {
			err = sameOffsets(before, after)
		}
	}
	cluster.Close()
	return errors.Join(err, complaints.first())
}

func endOffsets(ctx context.Context, gate *gate) (map[string]map[int32]int64, error) {
	admin, err := privateAdmin(gate)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	listed, err := admin.ListEndOffsets(ctx)
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	offsets := make(map[string]map[int32]int64, len(listed))
	listed.Each(func(l kadm.ListedOffset) {
		if l.Err != nil {
			err = errors.Join(err, fmt.Errorf("end offset of %s[%d]: %w", l.Topic, l.Partition, l.Err))
		}
		if offsets[l.Topic] == nil {
			offsets[l.Topic] = make(map[int32]int64)
		}
		offsets[l.Topic][l.Partition] = l.Offset
	})
	return offsets, err
}

func sameOffsets(before, after map[string]map[int32]int64) error {
	for topic, partitions := range before {
		for partition, end := range partitions {
			if now, ok := after[topic][partition]; !ok || now != end {
				return fmt.Errorf("compaction moved the end of %s[%d] from %d to %d", topic, partition, end, now)
			}
		}
	}
	return nil
}

// complaintLog keeps the first warning or error of a broker.
type complaintLog struct {
	mu  sync.Mutex
	err error
}

// Logf implements kfake.Logger.
func (c *complaintLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level != kfake.LogLevelWarn && level != kfake.LogLevelError {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = fmt.Errorf("broker of the copy: "+format, args...)
	}
}

func (c *complaintLog) first() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
