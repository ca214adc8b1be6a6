package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TopicApplier carries out plans. It changes nothing that is refused.
type TopicApplier struct {
	Admin *kadm.Client
	// Replication of topics that it creates; -1 leaves it to the broker.
	Replication int16
	// DryRun has the broker check a change instead of making it.
	DryRun bool
}

// Apply makes one change. What there is nothing to do about is no error.
func (a TopicApplier) Apply(ctx context.Context, c TopicChange) error {
	switch c.Action {
	case TopicCreate:
		err := a.create(ctx, c.Spec)
		if errors.Is(err, kerr.TopicAlreadyExists) { // another one was faster
			return nil
		}
		return err
	case TopicAlter:
		return a.alter(ctx, c.Spec.Name, c.Settings)
	case TopicGrow:
		return a.grow(ctx, c.Spec)
	default:
		return nil
	}
}

func (a TopicApplier) create(ctx context.Context, spec TopicSpec) error {
	configs := make(map[string]*string, len(spec.Configs))
	for k, v := range spec.Configs {
		configs[k] = &v
	}
	call := a.Admin.CreateTopics
	if a.DryRun {
		call = a.Admin.ValidateCreateTopics
	}
	answers, err := call(ctx, spec.Partitions, a.Replication, configs, spec.Name)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", spec.Name, err)
	}
	answer := answers[spec.Name]
	return topicError("create", aclCreate, spec.Name, answer.Err, answer.ErrMessage)
}

func (a TopicApplier) alter(ctx context.Context, topic string, settings []TopicSetting) error {
	var changes []kadm.AlterConfig
	for _, s := range settings {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: s.Name, Value: &s.Wanted})
	}
	call := a.Admin.AlterTopicConfigs
	if a.DryRun {
		call = a.Admin.ValidateAlterTopicConfigs
	}
	answers, err := call(ctx, changes, topic)
	if err != nil {
		return fmt.Errorf("configure topic %s: %w", topic, err)
	}
	answer, err := answers.On(topic, nil)
	if err == nil {
		err = answer.Err
	}
	return topicError("configure", aclAlterConfigs, topic, err, answer.ErrMessage)
}

func (a TopicApplier) grow(ctx context.Context, spec TopicSpec) error {
	call := a.Admin.UpdatePartitions
	if a.DryRun {
		call = a.Admin.ValidateUpdatePartitions
	}
	answers, err := call(ctx, int(spec.Partitions), spec.Name)
	if err != nil {
		return fmt.Errorf("add partitions to topic %s: %w", spec.Name, err)
	}
	answer := answers[spec.Name]
	return topicError("add partitions to", aclAlter, spec.Name, answer.Err, answer.ErrMessage)
}

// topicError is a broker's answer about one topic as an error, with its own words where it has any.
func topicError(verb, operation, topic string, err error, message string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return &AccessError{Topic: topic, Operation: operation, Err: err}
	case message != "":
		return fmt.Errorf("%s topic %s: %w: %s", verb, topic, err, message)
	default:
		return fmt.Errorf("%s topic %s: %w", verb, topic, err)
	}
}

// CreateTopics creates those that are missing and leaves the others as they are. It returns the names it created.
func CreateTopics(ctx context.Context, admin *kadm.Client, replication int16, specs []TopicSpec) ([]string, error) {
	existing, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	applier := TopicApplier{Admin: admin, Replication: replication}
	var created []string
	for _, spec := range specs {
		if existing.Has(spec.Name) {
			continue
		}
		err := applier.create(ctx, spec)
		switch {
		case errors.Is(err, kerr.TopicAlreadyExists): // another instance was faster
		case err != nil:
			return created, err
		default:
			created = append(created, spec.Name)
		}
	}
	slices.Sort(created)
	return created, nil
}
