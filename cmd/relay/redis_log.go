package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// redisLog takes what the Redis client would print to the terminal. It repeats itself at every failed connection, so
// that one line in ten seconds is kept.
type redisLog struct {
	log   *slog.Logger
	every *rate.Sometimes
}

// logRedis sends the client's own lines to log, for the whole process: the client knows no other way.
func logRedis(log *slog.Logger) {
	redis.SetLogger(redisLog{log: log, every: &rate.Sometimes{Interval: 10 * time.Second}})
}

// Printf implements the client's logger.
func (l redisLog) Printf(_ context.Context, format string, args ...any) {
	l.every.Do(func() {
		l.log.Warn("redis_client", "err", fmt.Sprintf(format, args...), "hint", "Redis is a cache: deliveries go on, listings of diverted events wait for it")
	})
}
