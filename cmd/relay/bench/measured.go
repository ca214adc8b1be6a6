package bench

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"runtime/debug"
)

// measured is the role of the relay: `relay serve` as it stands, in a process that can also be asked what it uses.
type measured struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when serve has returned
	err    error         // of serve, once done is closed
}

func startMeasured(ctx context.Context, args []string, serve Serve) *measured {
	ctx, cancel := context.WithCancel(ctx)
	m := &measured{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		m.err = serve(ctx, args)
	}()
	return m
}

var errServeEnded = errors.New("the relay ended; its log says why")

func (m *measured) do(_ context.Context, name string, _ json.RawMessage) (any, error) {
	switch name {
	case "alive":
		select {
		case <-m.done:
			return nil, errors.Join(errServeEnded, m.err)
		default:
			return nil, nil
		}
	case "live-heap":
		// Twice: what the first collection finalises, the second frees.
		runtime.GC()
		debug.FreeOSMemory()
		return usageNow().Heap, nil
	case "stop":
		m.cancel()
		<-m.done
		return nil, m.err
	default:
		return nil, errUnknownRequest
	}
}

func (m *measured) close() error {
	m.cancel()
	<-m.done
	return m.err
}
