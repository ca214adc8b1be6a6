package embedded

import (
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestRedis_KeysExpire(t *testing.T) {
	ctx := testContext(t)
	r, err := StartRedis(ctx, "127.0.0.1:0")
	require.NoError(t, err)
	defer r.Close()
	cl := redis.NewClient(&redis.Options{Addr: r.Addr()})
	defer cl.Close()

	require.NoError(t, cl.Set(ctx, "short", "1", 20*time.Millisecond).Err())
	require.NoError(t, cl.Set(ctx, "long", "1", time.Hour).Err())
	require.NoError(t, cl.Set(ctx, "kept", "1", 0).Err())
	require.Eventually(t, func() bool { return cl.Exists(ctx, "short").Val() == 0 }, 5*time.Second, 5*time.Millisecond)
	require.EqualValues(t, 2, cl.Exists(ctx, "long", "kept").Val())
}

func TestRedis_AddressTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()

	_, err = StartRedis(testContext(t), taken.Addr().String())
	var addrErr *AddressError
	require.ErrorAs(t, err, &addrErr)
	require.ErrorContains(t, err, "something else does")
	require.ErrorContains(t, err, "--redis-addr")
}

func TestRedis_BadAddress(t *testing.T) {
	_, err := StartRedis(testContext(t), "nonsense")
	require.ErrorContains(t, err, "--redis-addr")
	require.NotContains(t, err.Error(), "something else does")
}
