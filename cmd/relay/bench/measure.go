package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Measurement is one row of one round.
type Measurement struct {
	// Rate in deliveries per second, from the tenth of the deliveries to the last: starting up does not count.
	Rate float64 `json:"rate"`
	// CPU and ReceiverCPU per delivery.
	CPU         time.Duration `json:"cpu_ns"`
	ReceiverCPU time.Duration `json:"receiver_cpu_ns"`
	// RSS and Heap in bytes, the highest that was seen.
	RSS  int64 `json:"rss"`
	Heap int64 `json:"heap"`
	// Connections that the receiver accepted.
	Connections int `json:"connections"`
	// Latency from publishing to the whole request at the receiver: p50, p90, p99, p99.9.
	Latency    []time.Duration `json:"latency_ns"`
	Deliveries int             `json:"deliveries"`
	Duplicates int             `json:"duplicates"`
	Lost       int             `json:"lost"`
	Refused    int             `json:"refused,omitempty"`
	// HandedOff to the retry topics without an attempt, and Postponed there again: what could not begin in time.
	HandedOff int `json:"handedOff,omitempty"`
	Postponed int `json:"postponed,omitempty"`
	// Failed attempts, those that the receiver refused on purpose included. One that failed although the receiver had the
	// request, a timeout for instance, is where duplicates come from.
	Failed int `json:"failed,omitempty"`
}

const (
	// lookEvery is how often a run is looked at: it costs the processes about 1 ms of CPU a second.
	lookEvery = 25 * time.Millisecond
	// stallAfter is how long no delivery may arrive before the rest counts as lost: longer than a breaker's first
	// pause and the longest wait between two attempts.
	stallAfter = 45 * time.Second
	// startShare of the deliveries is not measured.
	startShare = 0.1
)

// look is what is known at one moment.
type look struct {
	got      receipt
	sender   usage
	receiver usage
}

// sender is who makes the deliveries: one process, or several.
type sender interface {
	usage(ctx context.Context) (usage, error)
}

func (s *stage) look(ctx context.Context, sender sender) (l look, err error) {
	// The receipt in the middle, so that the two usages are taken as close to it as can be.
	l.sender, err = sender.usage(ctx)
	err = errors.Join(err, s.receiver.call(ctx, "receipt", nil, &l.got))
	if err != nil {
		return l, err
	}
	l.receiver, err = s.receiver.usage(ctx)
	return l, err
}

// watch follows a run until the receiver has what it expects, or nothing comes any more. from is where the measured
// part begins; nil means after startShare of the deliveries, when begun is called, unless it is nil. what is shown while it
// runs. total is the number of deliveries that are waited for.
func (s *stage) watch(ctx context.Context, what string, sender sender, total int, from *look, begun func() error) (Measurement, error) {
	var (
		m        Measurement
		now      look
		heap     int64
		progress = time.Now() // when the latest delivery was noticed
		seen     = -1
	)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		var err error
		if now, err = s.look(ctx, sender); err != nil {
			return m, err
		}
		heap = max(heap, now.sender.Heap)
		if from == nil && float64(now.got.Distinct) >= startShare*float64(total) {
			if begun != nil {
				if err := begun(); err != nil {
					return m, err
				}
				if now, err = s.look(ctx, sender); err != nil {
					return m, err
				}
			}
			first := now
			from = &first
		}
		s.say.run(what, now.got.Distinct, total)
		if now.got.Distinct > seen {
			seen, progress = now.got.Distinct, time.Now()
		}
		if now.got.Distinct >= total {
			break
		}
		if time.Since(progress) > stallAfter {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return m, fmt.Errorf("%s: %d of %d deliveries: %w", what, now.got.Distinct, total, context.Cause(ctx))
		}
	}
	m = Measurement{RSS: now.sender.RSS, Heap: heap, Connections: now.got.Accepted, Latency: now.got.Latency, Deliveries: now.got.Distinct,
		Duplicates: now.got.Duplicates, Lost: total - now.got.Distinct, Refused: now.got.Refused}
	if from == nil {
		return m, nil
	}
	if n := now.got.Distinct - from.got.Distinct; n > 0 {
		// To the last delivery, not to when it was noticed.
		m.Rate = float64(n) / now.got.Last.Sub(from.got.At).Seconds()
		m.CPU = (now.sender.CPU - from.sender.CPU) / time.Duration(n)
		m.ReceiverCPU = (now.receiver.CPU - from.receiver.CPU) / time.Duration(n)
	}
	return m, nil
}

// waited adds what the relay says of deliveries that could not begin in time, and of attempts that failed.
func (m *Measurement) waited(ctx context.Context, p *relayProcess) error {
	handedOff, err := p.metric(ctx, `relay_deliveries_total{outcome="handed_off"}`)
	if err != nil {
		return err
	}
	postponed, err := p.metric(ctx, `relay_deliveries_total{outcome="postponed"}`)
	if err != nil {
		return err
	}
	attempts, err := p.metrics(ctx, `relay_attempts_total{`)
	if err != nil {
		return err
	}
	m.HandedOff, m.Postponed = int(handedOff), int(postponed)
	for series, n := range attempts {
		if series != `relay_attempts_total{result="2xx"}` {
			m.Failed += int(n)
		}
	}
	return nil
}

// expect tells the receiver what is to come and forgets what came.
func (s *stage) expect(ctx context.Context, e expectation) error {
	return s.receiver.call(ctx, "expect", e, nil)
}

// behave tells the receiver how to answer.
func (s *stage) behave(ctx context.Context, b behaviour) error {
	return s.receiver.call(ctx, "behave", b, nil)
}
