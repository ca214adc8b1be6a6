package relay

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TopicRisk is what may lose acknowledged records, or stop all writes, although the topics are as the relay wants them.
// Only who runs the brokers can put it right.
type TopicRisk struct {
	Topics  []string
	Problem string
}

func (r TopicRisk) String() string { return strings.Join(r.Topics, ", ") + ": " + r.Problem }

// TopicRisks finds them in the replication of the relay's own topics. The relay settles a delivery once the broker has
// acknowledged the record that takes its place, so an acknowledgement must outlive a broker. What the broker does not
// tell raises no risk.
func TopicRisks(specs []TopicSpec, states map[string]TopicState) []TopicRisk {
	var risks []TopicRisk
	add := func(topic, problem string) {
		i := slices.IndexFunc(risks, func(r TopicRisk) bool { return r.Problem == problem })
		if i < 0 {
			i, risks = len(risks), append(risks, TopicRisk{Problem: problem})
		}
		risks[i].Topics = append(risks[i].Topics, topic)
	}
	for _, spec := range specs {
		state, exists := states[spec.Name]
		if !exists || spec.Foreign || state.Err != nil || state.Replicas == 0 {
			continue
		}
		inSync, err := strconv.Atoi(state.Configs["min.insync.replicas"])
		switch {
		case err == nil && inSync > state.Replicas:
			add(spec.Name, fmt.Sprintf("min.insync.replicas is %d and there are %d replicas: the broker takes no record", inSync, state.Replicas))
		case state.Replicas == 1:
			add(spec.Name, "one replica: what its broker loses is lost. Have three (--topic-replication when topics are made, kafka-reassign-partitions later)")
		case err == nil && inSync == 1:
			add(spec.Name, "min.insync.replicas is 1: a record that one broker has counts as acknowledged, and is lost with it. Set it to 2")
		}
		if state.Configs["unclean.leader.election.enable"] == "true" {
			add(spec.Name, "unclean.leader.election.enable is true: a leader that lacks acknowledged records may be elected. Set it to false")
		}
	}
	return risks
}

// BrokerRisk compares the largest record of the relay with what the brokers take in one request; "" is no risk, or no
// answer. A topic's max.message.bytes wins over the broker's message.max.bytes, and a record above the limits of a
// fetch (fetch.max.bytes, replica.fetch.max.bytes) is fetched alone, so none of these needs a look.
func BrokerRisk(ctx context.Context, admin *kadm.Client, maxRecordBytes int) string {
	const setting = "socket.request.max.bytes"
	metadata, err := admin.BrokerMetadata(ctx)
	if err != nil {
		return ""
	}
	answers, _ := admin.DescribeBrokerConfigs(ctx, metadata.Brokers.NodeIDs()...) // those that answered count
	for _, broker := range answers {
		for _, config := range broker.Configs {
			if limit, err := strconv.Atoi(config.MaybeValue()); config.Key == setting && err == nil && limit < maxRecordBytes {
				return fmt.Sprintf("broker %s: %s is %d, but a record with the largest event has %d bytes: raise it, or lower --event-max-bytes",
					broker.Name, setting, limit, maxRecordBytes)
			}
		}
	}
	return ""
}
