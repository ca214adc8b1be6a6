package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AccessError is what the broker does not allow the relay's user to do with a topic.
type AccessError struct {
	Topic     string
	Operation string // as Kafka's ACLs call it
	Err       error
}

func (e *AccessError) Error() string {
	return fmt.Sprintf("the relay's Kafka user may not %s topic %s: add an ACL that allows the operation %s (%v)", e.verb(), e.Topic, e.Operation, e.Err)
}

// Unwrap gives the broker's error.
func (e *AccessError) Unwrap() error { return e.Err }

// Hidden reports whether not even the existence of the topic is known.
func (e *AccessError) Hidden() bool { return e.Operation == aclDescribe }

func (e *AccessError) verb() string {
	switch e.Operation {
	case aclDescribe:
		return "see"
	case aclDescribeConfigs:
		return "read the settings of"
	case aclCreate:
		return "create"
	default:
		return "change"
	}
}

// Operations of ACLs.
const (
	aclDescribe        = "Describe"
	aclDescribeConfigs = "DescribeConfigs"
	aclCreate          = "Create"
	aclAlter           = "Alter"
	aclAlterConfigs    = "AlterConfigs"
)

// DescribeTopics asks the cluster how topics are set up. Those that do not exist are missing from the answer; those
// that may not be read have an Err. An error of its own is that the cluster did not answer, and another try may.
//
// It asks a broker and not kadm, which answers from metadata that may be seconds old, and which has one answer for all
// topics when one of them is not to be seen.
func DescribeTopics(ctx context.Context, client *kgo.Client, specs []TopicSpec) (map[string]TopicState, error) {
	states, err := describeLayout(ctx, client, specs)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	if err := describeConfigs(ctx, client, specs, states); err != nil {
		return nil, fmt.Errorf("read the settings of topics: %w", err)
	}
	return states, nil
}

// describeLayout finds the topics that exist.
func describeLayout(ctx context.Context, client *kgo.Client, specs []TopicSpec) (map[string]TopicState, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // nil would be all
	for _, spec := range specs {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(spec.Name)
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	states := make(map[string]TopicState, len(resp.Topics))
	for _, topic := range resp.Topics {
		name := ""
		if topic.Topic != nil {
			name = *topic.Topic
		}
		switch err := kerr.ErrorForCode(topic.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			states[name] = TopicState{Err: &AccessError{Topic: name, Operation: aclDescribe, Err: err}}
		case err != nil:
			return nil, fmt.Errorf("topic %s: %w", name, err)
		default:
			state := TopicState{Partitions: int32(len(topic.Partitions))}
			for i, p := range topic.Partitions {
				if n := len(p.Replicas); i == 0 || n < state.Replicas {
					state.Replicas = n
				}
			}
			states[name] = state
		}
	}
	return states, nil
}

// describeConfigs adds the settings of the relay's own topics that exist. Those of the platform's topics are its own
// business.
func describeConfigs(ctx context.Context, client *kgo.Client, specs []TopicSpec, states map[string]TopicState) error {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, spec := range specs {
		if state, exists := states[spec.Name]; spec.Foreign || !exists || state.Err != nil {
			continue
		}
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, spec.Name
		req.Resources = append(req.Resources, resource)
	}
	if len(req.Resources) == 0 {
		return nil
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, resource := range resp.Resources {
		state := states[resource.ResourceName]
		switch err := kerr.ErrorForCode(resource.ErrorCode); {
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			state.Err = &AccessError{Topic: resource.ResourceName, Operation: aclDescribeConfigs, Err: err}
		case err != nil:
			return fmt.Errorf("topic %s: %w", resource.ResourceName, err)
		default:
			state.Configs = make(map[string]string, len(resource.Configs))
			for _, config := range resource.Configs {
				if config.Value != nil {
					state.Configs[config.Name] = *config.Value
				}
			}
		}
		states[resource.ResourceName] = state
	}
	return nil
}
