package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Class says why an attempt has no status. The set is closed: it is a metric label and part of attempt records.
type Class string

// The classes. All but ClassInternal and ClassCanceled are the receiver's; those two are no attempt at all.
const (
	// ClassStatus: a complete status line and headers were received, see Result.Status.
	ClassStatus Class = ""
	// ClassTimeout: the deadline passed, wherever the attempt was.
	ClassTimeout Class = "timeout"
	// ClassConnect: no connection, or one that was closed before the first byte of a response.
	ClassConnect Class = "connect"
	// ClassTLS: the handshake failed, or the endpoint's own TLS material is unusable.
	ClassTLS Class = "tls"
	// ClassDNS: the name does not resolve, while the resolver does answer.
	ClassDNS Class = "dns"
	// ClassBlocked: the policy refuses the URL or an address that the name resolved to.
	ClassBlocked Class = "blocked"
	// ClassProtocol: what came back is not a complete HTTP response within the bounds.
	ClassProtocol Class = "protocol"
	// ClassToken: the endpoint's token server gave no access token. Package deliver's: no request was made.
	ClassToken Class = "token"
	// ClassInternal: our own fault: no file descriptors, no network, no resolver.
	ClassInternal Class = "internal"
	// ClassCanceled: the caller's context ended, or the client was closed.
	ClassCanceled Class = "canceled"
)

var classes = []Class{ClassStatus, ClassTimeout, ClassConnect, ClassTLS, ClassDNS, ClassBlocked, ClassProtocol, ClassToken, ClassInternal, ClassCanceled}

// KeptBodyBytes is how much of a response body a Result keeps, for the attempt log.
const KeptBodyBytes = 1 << 10

// KeptHeaders is how many response headers a Result keeps, KeptHeaderBytes how much of each value.
const (
	KeptHeaders     = 64
	KeptHeaderBytes = 512
)

// keepHeader adds a response header to those that are kept.
func (r *Result) keepHeader(name, value string) {
	if len(r.Headers) < KeptHeaders {
		r.Headers = append(r.Headers, Header{Name: name[:min(len(name), KeptHeaderBytes)], Value: value[:min(len(value), KeptHeaderBytes)]})
	}
}

// Result is what came of one attempt.
type Result struct {
	// Status is 0 unless a complete status line and headers, and a body that ended or reached its limit, came in time.
	Status int
	// Class is ClassStatus exactly when Status is not 0.
	Class Class
	// Err is the detail for the operator's log; nil when there is a status. It names hosts and addresses, so it is
	// not for the webhook's owner, and holds neither the URL's path nor any header.
	Err error
	// RetryAfter is what the receiver asked for with 429 or 503, at most MaxRetryAfter; 0 when it did not.
	RetryAfter time.Duration
	// Body is the first KeptBodyBytes of the response body, as it came (never inflated). The caller owns it.
	Body []byte
	// Headers of the response where the Request asked for them, the first KeptHeaders of them.
	Headers []Header
	// Latency of the whole attempt.
	Latency time.Duration
}

// failure is an error that knows its class. It is made where the step that failed is known.
type failure struct {
	class Class
	step  string // what was being done, for reading: "connect to 192.0.2.1:443"
	err   error
}

func (f *failure) Error() string { return f.step + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail gives err the class and step, unless an inner step has classified it already.
func fail(class Class, step string, err error) error {
	if inner := (*failure)(nil); errors.As(err, &inner) {
		class = inner.class
	}
	return &failure{class: class, step: step, err: err}
}

// classify decides the class of a failed attempt. ended is the error of the caller's context or of the closed
// client: what failed after that failed because of it.
func classify(err, ended error) Class {
	if ended != nil {
		return ClassCanceled
	}
	if f := (*failure)(nil); errors.As(err, &f) {
		return f.class
	}
	return ClassInternal
}

// connectClass decides the class of a failed connect or write, where no byte of a response was received.
func connectClass(err error) Class {
	switch {
	case isTimeout(err):
		return ClassTimeout
	case isLocal(err):
		return ClassInternal
	}
	return ClassConnect
}

// isTimeout: a deadline of ours, or the kernel's own (ETIMEDOUT).
func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// isLocal: this machine could not even try, whatever the receiver is.
func isLocal(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, // out of descriptors or buffers
		syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, // out of local ports
		syscall.ENETDOWN, syscall.EPERM, syscall.EACCES, // interface down, local firewall
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// isClosed: the peer ended the connection, politely or not.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}
