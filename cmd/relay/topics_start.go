package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

const (
	// topicsAskTimeout bounds one try to read how the topics are set up.
	topicsAskTimeout = 10 * time.Second
	// topicsBackoffMin and topicsBackoffMax are the wait between two tries, which doubles.
	topicsBackoffMin, topicsBackoffMax = time.Second, 15 * time.Second

	applyTopics = "relay topics apply"
)

// awaitTopics waits until Kafka answers, then checks that every topic is there and set up so that it keeps what it
// holds. Other differences are logged.
func awaitTopics(ctx context.Context, kafka []kgo.Opt, topics relay.Topics, domains []string, log *slog.Logger) error {
	client, err := kgo.NewClient(kafka...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	specs := append(topics.Specs(), topics.DomainSpecs(domains)...)
	for backoff := topicsBackoffMin; ; backoff = min(2*backoff, topicsBackoffMax) {
		askCtx, cancel := context.WithTimeout(ctx, topicsAskTimeout)
		states, err := relay.DescribeTopics(askCtx, client, specs)
		cancel()
		if err == nil {
			return judgeTopics(specs, states, log)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		log.Warn("kafka_unavailable", "err", err, "retry_in", backoff.String(), "hint", "check --kafka, its TLS and SASL settings")
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// judgeTopics refuses topics without which the relay cannot work, and those that would lose what it has promised to
// keep; it logs what is otherwise not as it should be.
func judgeTopics(specs []relay.TopicSpec, states map[string]relay.TopicState, log *slog.Logger) error {
	plan := relay.PlanTopics(specs, states)
	var missing, missingDomains, hidden, unread, losing []string
	for _, c := range plan {
		var access *relay.AccessError
		switch {
		case c.Action == relay.TopicCreate && c.Spec.Foreign:
			missingDomains = append(missingDomains, c.Spec.Name)
		case c.Action == relay.TopicCreate:
			missing = append(missing, c.Spec.Name)
		case errors.As(c.Err, &access) && access.Hidden():
			hidden = append(hidden, access.Error())
		case c.Err != nil:
			unread = append(unread, c.Spec.Name)
		}
	}
	switch {
	case len(hidden) > 0:
		return errors.New(strings.Join(hidden, "\n"))
	case len(missing) > 0:
		return fmt.Errorf("topics %v are missing: create them with `%s`", missing, applyTopics)
	case len(missingDomains) > 0:
		return fmt.Errorf("domain topics %v are missing: create them, let `%s --domains` do it, or name others with --domain-topics", missingDomains, applyTopics)
	}
	for _, h := range relay.TopicHazards(plan) {
		if h.Loses {
			losing = append(losing, fmt.Sprintf("topic %s: %s", h.Topic, h.Problem))
			continue
		}
		log.Warn("topic_setting", "topic", h.Topic, "problem", h.Problem, "hint", applyTopics)
	}
	if len(unread) > 0 {
		log.Warn("topic_settings_unknown", "topics", strings.Join(unread, ","), "hint",
			"allow the operation DescribeConfigs on them, so that a start can refuse settings that lose records")
	}
	for _, risk := range relay.TopicRisks(specs, states) {
		log.Warn("topic_replication", "topics", strings.Join(risk.Topics, ","), "problem", risk.Problem)
	}
	if len(losing) > 0 {
		return fmt.Errorf("started on these topics, the relay would lose what they must keep; `%s` says what to do:\n- %s", applyTopics, strings.Join(losing, "\n- "))
	}
	return nil
}
