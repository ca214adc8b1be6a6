package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// lockFor is longer than any write takes that is not in trouble; one that is loses only the advice.
	lockFor = 10 * time.Second
	// lockPatience is how long a process waits for another's lock before it goes on without.
	lockPatience = time.Second
	// lockPoll spaces the looks at a lock that is taken, at random around it.
	lockPoll = 25 * time.Millisecond
	// redisWithin bounds one request to Redis while running.
	redisWithin = 250 * time.Millisecond
)

// lock is a short lock in Redis. It is advice that avoids contention and never correctness: it is not waited for
// long, and without Redis there is none.
type lock struct {
	redis redis.UniversalClient
	key   string
}

func newLock(client redis.UniversalClient, key string) *lock { return &lock{redis: client, key: key} }

// unlockScript deletes the lock only if it is still this holder's.
var unlockScript = redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)

// acquire takes the lock, or gives up after lockPatience or at the first error. Either way the caller goes on, and
// calls release at the end.
func (l *lock) acquire(ctx context.Context) (release func()) {
	token := hex.EncodeToString(randomBytes(8))
	patience, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		took, err := l.try(patience, token, lockFor)
		if err != nil {
			return func() {}
		}
		if took {
			return func() { l.release(ctx, token) }
		}
		if !sleep(patience, lockPoll/2+rand.N(lockPoll)) {
			return func() {}
		}
	}
}

func (l *lock) try(ctx context.Context, token string, ttl time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, redisWithin)
	defer cancel()
	err := l.redis.SetArgs(ctx, l.key, token, redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

// renew makes a lock that is held last on. Without Redis it does nothing: the lock is advice.
func (l *lock) renew(ctx context.Context, token string, ttl time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, redisWithin)
	defer cancel()
	_ = l.redis.Set(ctx, l.key, token, ttl).Err()
}

// release must reach Redis although the write's context may have ended: otherwise others wait out their patience
// until the lock expires.
func (l *lock) release(ctx context.Context, token string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisWithin)
	defer cancel()
	_ = unlockScript.Run(ctx, l.redis, []string{l.key}, token).Err()
}
