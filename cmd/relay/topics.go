package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

// topicsCmd is `relay topics`.
type topicsCmd struct {
	Apply topicsApplyCmd `cmd:"" help:"Create the relay's topics that are missing, and put right the settings of the others. Exits 1 when something is refused or fails, with --dry-run too."`
}

// topicsApplyCmd is the configuration of `relay topics apply`.
type topicsApplyCmd struct {
	Domains bool `help:"Create missing domain topics too. Those that exist are the platform's and stay as they are."`
	DryRun  bool `name:"dry-run" help:"Say what would be done, and have the brokers check it, but change nothing."`

	Kafka kafkaConfig `embed:""`
	Topic topicConfig `embed:""`
}

// check implements checker.
func (c *topicsApplyCmd) check(p *problems) {
	c.Kafka.check(p)
	c.Topic.check(p)
}

const (
	// topicsDialTimeout bounds the wait for a broker that may not be there.
	topicsDialTimeout = 10 * time.Second
	// topicsTimeout bounds everything that is asked of the brokers: some twenty requests.
	topicsTimeout = time.Minute
	// topicsVisible bounds the wait until all brokers answer with what the controller has acknowledged, which takes
	// them milliseconds.
	topicsVisible, topicsVisibleTick = 15 * time.Second, 100 * time.Millisecond
)

// Run plans, carries the plan out line by line, and asks again whether it took effect.
func (c *topicsApplyCmd) Run(ctx context.Context, out io.Writer) error {
	opts, err := c.Kafka.Opts()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, topicsTimeout, fmt.Errorf("the topics were not in place within %s", topicsTimeout))
	defer cancel()
	dial, cancelDial := context.WithTimeout(ctx, topicsDialTimeout)
	defer cancelDial()
	if err := client.Ping(dial); err != nil {
		return fmt.Errorf("no Kafka at %s: check --kafka, its TLS and SASL settings: %w", strings.Join(c.Kafka.Brokers, ","), err)
	}

	topics := c.Topic.Topics()
	specs := topics.Specs()
	if c.Domains {
		specs = append(specs, topics.DomainSpecs(keys(c.Topic.DomainTopics))...)
	}
	states, err := relay.DescribeTopics(ctx, client, specs)
	if err != nil {
		return err
	}
	admin := kadm.NewClient(client)
	applier := relay.TopicApplier{Admin: admin, Replication: topics.Replication, DryRun: c.DryRun}
	done := topicsDone{out: out, dryRun: c.DryRun}
	var changed []relay.TopicSpec
	for _, change := range relay.PlanTopics(specs, states) {
		err := applier.Apply(ctx, change)
		done.add(change, err)
		if err == nil && pending(change) {
			changed = append(changed, change.Spec)
		}
	}
	if !c.DryRun && len(changed) > 0 {
		if states, err = awaitApplied(ctx, client, specs, changed); err != nil {
			return err
		}
	}
	for _, risk := range relay.TopicRisks(specs, states) {
		done.warn(risk.String())
	}
	if risk := relay.BrokerRisk(ctx, admin, topics.MaxEventBytes+relay.EnvelopeBytes); risk != "" {
		done.warn(risk)
	}
	return done.summary(len(specs))
}

// pending reports whether a change is to be made, and so gone from the next plan when it was.
func pending(c relay.TopicChange) bool {
	return c.Action == relay.TopicCreate || c.Action == relay.TopicAlter || c.Action == relay.TopicGrow
}

// awaitApplied asks until nothing is left to do for the topics that were changed. A broker that acknowledges a setting
// and keeps its own does not pass. It returns the state of all specs.
func awaitApplied(ctx context.Context, client *kgo.Client, specs, changed []relay.TopicSpec) (map[string]relay.TopicState, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, topicsVisible, fmt.Errorf("waited %s", topicsVisible))
	defer cancel()
	tick := time.NewTicker(topicsVisibleTick)
	defer tick.Stop()
	for {
		states, err := relay.DescribeTopics(ctx, client, specs)
		if err == nil {
			var left []string
			for _, change := range relay.PlanTopics(changed, states) {
				if pending(change) {
					left = append(left, change.String())
				}
			}
			if len(left) == 0 {
				return states, nil
			}
			err = fmt.Errorf("the brokers acknowledged, but still to do is: %s", strings.Join(left, "; "))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("verify topics: %w (%w)", err, context.Cause(ctx))
		}
	}
}

// topicsDone prints what was done, a line for each change, and counts it.
type topicsDone struct {
	out                               io.Writer
	dryRun                            bool
	created, altered, refused, failed int
}

func (d *topicsDone) add(change relay.TopicChange, err error) {
	switch {
	case err != nil:
		d.failed++
		fmt.Fprintf(d.out, "failed %s: %v\n", change, err)
		return
	case change.Action == relay.TopicCreate:
		d.created++
	case pending(change):
		d.altered++
	case change.Action == relay.TopicRefuse:
		d.refused++
	}
	fmt.Fprintln(d.out, change)
}

func (d *topicsDone) warn(risk string) { fmt.Fprintln(d.out, "warn "+risk) }

// errTopics is that not all topics are as they must be; the lines above it say why.
var errTopics = errors.New("not all topics are in place")

func (d *topicsDone) summary(topics int) error {
	made := "created %d and changed %d"
	if d.dryRun {
		made = "would create %d and change %d"
	}
	text := fmt.Sprintf("%d topics: "+made, topics, d.created, d.altered)
	if d.refused+d.failed > 0 {
		return fmt.Errorf("%w: %s, refused %d, failed %d", errTopics, text, d.refused, d.failed)
	}
	fmt.Fprintln(d.out, text)
	return nil
}
