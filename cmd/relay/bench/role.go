package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The roles that a process of a benchmark plays.
const (
	roleServices = "services"
	roleReceiver = "receiver"
	roleLoad     = "load"
	roleBare     = "bare"
	roleRelay    = "relay"
	roleIndex    = "index"
)

// Serve runs the binary's own command line, for the relay that is measured.
type Serve func(ctx context.Context, args []string) error

// request asks a role to do something; the answer carries the result or the reason of a failure. Both are lines of
// JSON, the requests on standard input, the answers on standard output, strictly in turns.
type request struct {
	Do   string          `json:"do"`
	With json.RawMessage `json:"with,omitempty"`
}

type answer struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// player answers the requests of one role.
type player interface {
	// do answers one request; unknown ones with errUnknownRequest. ctx ends with the process.
	do(ctx context.Context, name string, with json.RawMessage) (any, error)
	close() error
}

var errUnknownRequest = errors.New("unknown request")

// Play is the life of one process of a benchmark: it answers requests until its standard input ends, which it does
// with the process that reads the answers, however that ends. serve is used by the role of the relay only.
func Play(ctx context.Context, role string, args []string, in io.Reader, out io.Writer, serve Serve) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	player, err := cast(ctx, role, args, serve)
	if err != nil {
		return fmt.Errorf("role %s: %w", role, err)
	}
	defer func() { err = errors.Join(err, player.close()) }()
	answers := json.NewEncoder(out)
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil // the one who asks is gone
		}
		if err := answers.Encode(reply(ctx, player, line)); err != nil {
			return nil
		}
	}
}

func cast(ctx context.Context, role string, args []string, serve Serve) (player, error) {
	switch role {
	case roleServices:
		return startServices()
	case roleReceiver:
		return startReceiver(ctx)
	case roleLoad:
		return &load{}, nil
	case roleBare:
		return &bare{}, nil
	case roleRelay:
		return startMeasured(ctx, args, serve), nil
	case roleIndex:
		return indexer{}, nil
	default:
		return nil, errors.New("there is no such role")
	}
}

func reply(ctx context.Context, p player, line []byte) answer {
	var r request
	err := json.Unmarshal(line, &r)
	if err != nil {
		return answer{Error: err.Error()}
	}
	var result any
	switch r.Do {
	case "usage":
		result = usageNow()
	case "profile":
		result, err = startProfile(r.With)
	case "profiled":
		result, err = stopProfile(r.With)
	default:
		result, err = p.do(ctx, r.Do, r.With)
	}
	if err != nil {
		return answer{Error: fmt.Sprintf("%s: %v", r.Do, err)}
	}
	encoded, err := json.Marshal(result)
	if err != nil {
		return answer{Error: fmt.Sprintf("%s: encode the answer: %v", r.Do, err)}
	}
	return answer{Result: encoded}
}

// with decodes the argument of a request.
func with[T any](raw json.RawMessage) (v T, err error) {
	if err = json.Unmarshal(raw, &v); err != nil {
		err = fmt.Errorf("argument: %w", err)
	}
	return v, err
}
