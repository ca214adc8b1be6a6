package demo

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/testdata/events"
)

// TrafficOptions configure Traffic. Fields without a default are required.
type TrafficOptions struct {
	// Client publishes. Traffic does not own it.
	Client *kgo.Client
	// Topics gives the topic of a domain. Default: the domain's name.
	Topics map[string]string
	Log    *slog.Logger

	// Burst is how long the demo begins lively, with an event every BurstEvery; afterwards one every Every. Defaults:
	// 20 s, 500 ms, 2 s.
	Burst, BurstEvery, Every time.Duration
}

func (o TrafficOptions) withDefaults() TrafficOptions {
	if o.Burst <= 0 {
		o.Burst = 20 * time.Second
	}
	if o.BurstEvery <= 0 {
		o.BurstEvery = 500 * time.Millisecond
	}
	if o.Every <= 0 {
		o.Every = 2 * time.Second
	}
	return o
}

// Traffic publishes samples of all domains, in turn, each with an id and a time of its own.
type Traffic struct {
	o       TrafficOptions
	samples []events.Sample
}

// NewTraffic returns traffic that does nothing until Run.
func NewTraffic(o TrafficOptions) *Traffic {
	return &Traffic{o: o.withDefaults(), samples: interleave(events.All())}
}

// Run publishes until ctx ends. An event that cannot be published is logged and left out.
func (t *Traffic) Run(ctx context.Context) {
	started := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		if err := t.o.Client.ProduceSync(ctx, t.record(n, started, now)).FirstErr(); err != nil && ctx.Err() == nil {
			t.o.Log.Warn("demo_event_not_published", "err", err)
		}
		timer.Reset(t.o.pause(now.Sub(started)))
	}
}

// pause is the time to the next event.
func (o TrafficOptions) pause(elapsed time.Duration) time.Duration {
	if elapsed < o.Burst {
		return o.BurstEvery
	}
	return o.Every
}

// record is the n-th event of a run. Ids differ between runs by the start, so that no receiver takes them for
// duplicates.
func (t *Traffic) record(n int, started, now time.Time) *kgo.Record {
	sample := t.samples[n%len(t.samples)]
	topic, ok := t.o.Topics[sample.Domain]
	if !ok {
		topic = sample.Domain
	}
	id := "demo-" + strconv.FormatInt(started.UnixMilli(), 36) + "-" + strconv.Itoa(n)
	return &kgo.Record{Topic: topic, Key: []byte(id), Value: events.Fresh(sample, id, now), Headers: sample.Headers}
}

// interleave orders samples so that each is of another domain than the one before, as long as there are any.
func interleave(samples []events.Sample) []events.Sample {
	var domains []string
	byDomain := make(map[string][]events.Sample)
	for _, s := range samples {
		if byDomain[s.Domain] == nil {
			domains = append(domains, s.Domain)
		}
		byDomain[s.Domain] = append(byDomain[s.Domain], s)
	}
	ordered := make([]events.Sample, 0, len(samples))
	for round := 0; len(ordered) < len(samples); round++ {
		for _, domain := range domains {
			if left := byDomain[domain]; round < len(left) {
				ordered = append(ordered, left[round])
			}
		}
	}
	return ordered
}
