package outbound

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLocalFaultsAreInternal(t *testing.T) {
	for err, want := range map[error]Class{
		syscall.EMFILE: ClassInternal, syscall.ENFILE: ClassInternal, syscall.ENOBUFS: ClassInternal,
		syscall.EADDRNOTAVAIL: ClassInternal, syscall.EPERM: ClassInternal,
		syscall.ECONNREFUSED: ClassConnect, syscall.EHOSTUNREACH: ClassConnect, syscall.ECONNRESET: ClassConnect,
		syscall.ETIMEDOUT: ClassTimeout, context.DeadlineExceeded: ClassTimeout,
	} {
		wrapped := &net.OpError{Op: "dial", Err: err}
		require.Equal(t, want, connectClass(wrapped), "%v", err)
	}
}

func TestClassifyPrefersWhatTheFirstStepSaid(t *testing.T) {
	inner := fail(ClassBlocked, "vet 10.0.0.1", errors.New("denied"))
	outer := fail(ClassConnect, "connect", &net.OpError{Op: "dial", Err: inner})
	require.Equal(t, ClassBlocked, classify(outer, nil))
	require.Equal(t, ClassCanceled, classify(outer, context.Canceled))
	require.Equal(t, ClassInternal, classify(errors.New("unclassified"), nil))
	require.Equal(t, "connect: dial: vet 10.0.0.1: denied", outer.Error())
}
