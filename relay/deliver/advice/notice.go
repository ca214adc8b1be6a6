package advice

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/breaker"
)

// notice is what one instance tells the others of an endpoint: what its breaker did, or that the receiver asked for a
// pause.
type notice struct {
	Version  int           `json:"v"`
	From     string        `json:"from"`
	Endpoint string        `json:"endpoint"` // public spelling
	State    breaker.State `json:"state,omitempty"`
	// WaitMS is the time to the next probe, when State is open; HoldMS the pause, when State is empty.
	WaitMS int64 `json:"waitMs,omitempty"`
	HoldMS int64 `json:"holdMs,omitempty"`
	Opens  int   `json:"opens,omitempty"`
}

const (
	noticeVersion = 1
	// maxNoticeBytes is well above the longest: an office is a few words.
	maxNoticeBytes = 4 << 10
	// maxNoticeWait is above every wait that is meant: Retry-After is believed for a day.
	maxNoticeWait = 24 * time.Hour
)

var errNotice = errors.New("bad notice")

// decodeNotice reads what came over the channel, which anybody with access to Redis may have written.
func decodeNotice(text string) (notice, catalog.EndpointRef, error) {
	var n notice
	if len(text) > maxNoticeBytes {
		return n, catalog.EndpointRef{}, fmt.Errorf("%w: %d bytes", errNotice, len(text))
	}
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return n, catalog.EndpointRef{}, fmt.Errorf("%w: %w", errNotice, err)
	}
	ref, ok := catalog.ParseEndpointID(n.Endpoint)
	switch {
	case n.Version != noticeVersion:
		return n, ref, fmt.Errorf("%w: version %d", errNotice, n.Version)
	case !ok:
		return n, ref, fmt.Errorf("%w: endpoint %.80q", errNotice, n.Endpoint)
	case n.WaitMS < 0 || n.WaitMS > maxNoticeWait.Milliseconds() || n.HoldMS < 0 || n.HoldMS > maxNoticeWait.Milliseconds() || n.Opens < 0:
		return n, ref, fmt.Errorf("%w: wait %d ms, hold %d ms, %d openings", errNotice, n.WaitMS, n.HoldMS, n.Opens)
	}
	switch n.State {
	case breaker.Open, breaker.HalfOpen, breaker.Closed:
		if n.HoldMS == 0 {
			return n, ref, nil
		}
	case "":
		if n.HoldMS > 0 {
			return n, ref, nil
		}
	}
	return n, ref, fmt.Errorf("%w: state %.20q, hold %d ms", errNotice, n.State, n.HoldMS)
}

// told reports whether a change is worth telling: not what comes of advice, which would go round in circles, and not
// what an operator decided, which every instance hears of through the registry.
func told(c breaker.Change) bool {
	switch c.Reason {
	case breaker.ReasonAdvised, breaker.ReasonForced, breaker.ReasonClosed, breaker.ReasonReset:
		return false
	}
	return c.Forced == ""
}

// draft is a notice that waits to be sent. Times are made into waits when it is.
type draft struct {
	seq   uint64 // of the change; 0 for a pause
	state breaker.State
	until time.Time // of the next probe, or of the pause
	opens int
	made  time.Time
}

func (d draft) notice(from, endpoint string, now time.Time) notice {
	left := min(max(d.until.Sub(now), 0), maxNoticeWait).Milliseconds()
	n := notice{Version: noticeVersion, From: from, Endpoint: endpoint, State: d.state, Opens: d.opens}
	switch d.state {
	case "":
		n.HoldMS = left
	case breaker.Open:
		n.WaitMS = left
	}
	return n
}
