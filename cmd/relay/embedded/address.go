package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// AddressError says that a service cannot listen where it was asked to, and which flag changes that.
type AddressError struct {
	Service string // "Kafka"
	Addr    string
	Flag    string // "--kafka-addr"
	Err     error
}

func (e *AddressError) Error() string {
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		return fmt.Sprintf("the embedded %s cannot listen on %s, something else does: stop that or choose another address with %s",
			e.Service, e.Addr, e.Flag)
	}
	return fmt.Sprintf("the embedded %s cannot listen on %s (%v): choose another address with %s", e.Service, e.Addr, e.Err, e.Flag)
}

func (e *AddressError) Unwrap() error { return e.Err }

// listen binds an address for a service, or returns an *AddressError.
func listen(ctx context.Context, service, addr, flag string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &AddressError{Service: service, Addr: addr, Flag: flag, Err: err}
	}
	return ln, nil
}
