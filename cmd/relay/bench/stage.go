package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/registry"
)

// stage is what one scenario plays on: broker, cache, receiver and load, each in a process of its own, and topics with
// names of their own, so that scenarios share nothing.
type stage struct {
	o        Options
	say      *progress
	dir      string // of logs; removed at the end
	services *process
	receiver *process
	load     *process

	kafka, redis string   // addresses
	url          string   // of the receiver, "http://host:port"
	prefix       string   // of the names of topics and groups
	topic        string   // the events are in
	sources      []string // all topics that held events
	topics       relay.Topics
	keys         *registry.Keyring
	client       *kgo.Client
	groups       int // made so far
}

// sourcePartitions of the topic that the events are in.
const sourcePartitions = 8

// retryDelay is the smallest class of the retry wheel, so that a benchmark need not wait 5 s for a retry.
const retryDelay = time.Second

// setStage starts the processes and makes the topics. The caller strikes the stage, also after an error.
func setStage(ctx context.Context, o Options, name string, say *progress) (s *stage, err error) {
	dir, err := os.MkdirTemp("", "relay-bench-")
	if err != nil {
		return nil, err
	}
	s = &stage{o: o, say: say, dir: dir, kafka: o.Kafka, redis: o.Redis}
	s.prefix = fmt.Sprintf("bench-%d-%s.", time.Now().UnixMilli(), name)
	s.topics = relay.Topics{Prefix: s.prefix + "relay.", Delays: []time.Duration{retryDelay, 5 * time.Second, 30 * time.Second},
		Partitions: 4, Replication: 1, MaxEventBytes: 1 << 20}
	master := registry.GenerateMasterKey()
	if s.keys, err = registry.ParseKeyring(master); err != nil {
		return s, err
	}
	s.o.env = []string{"RELAY_ADMIN_KEY=" + benchAdminKey, "RELAY_MASTER_KEY=" + master}

	if s.kafka == "" || s.redis == "" {
		if s.services, err = s.o.start(dir, roleServices); err != nil {
			return s, err
		}
		var at addresses
		if err := s.services.call(ctx, "addresses", nil, &at); err != nil {
			return s, err
		}
		if s.kafka == "" {
			s.kafka = at.Kafka
		}
		if s.redis == "" {
			s.redis = at.Redis
		}
	}
	if s.receiver, err = s.o.start(dir, roleReceiver); err != nil {
		return s, err
	}
	if s.load, err = s.o.start(dir, roleLoad); err != nil {
		return s, err
	}
	var receiver string
	if err := s.receiver.call(ctx, "address", nil, &receiver); err != nil {
		return s, err
	}
	s.url = "http://" + receiver
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(strings.Split(s.kafka, ",")...), kgo.MaxBufferedRecords(50_000)); err != nil {
		return s, fmt.Errorf("kafka client: %w", err)
	}
	if _, err := relay.CreateTopics(ctx, kadm.NewClient(s.client), 1, s.topics.Specs()); err != nil {
		return s, fmt.Errorf("make the topics on %s: %w", s.kafka, err)
	}
	return s, s.newTopic(ctx)
}

// newTopic makes an empty topic for the events that are published from now on.
func (s *stage) newTopic(ctx context.Context) error {
	name := fmt.Sprintf("%sdebt%d", s.prefix, len(s.sources))
	if _, err := relay.CreateTopics(ctx, kadm.NewClient(s.client), 1, []relay.TopicSpec{{Name: name, Partitions: sourcePartitions}}); err != nil {
		return fmt.Errorf("make the topic %s on %s: %w", name, s.kafka, err)
	}
	s.topic, s.sources = name, append(s.sources, name)
	return nil
}

// benchAdminKey is the admin key of the relays that are measured, on loopback, for as long as they run.
const benchAdminKey = "bench-admin-key-0123456789"

// strikeTimeout bounds the clean-up on services that are not ours.
const strikeTimeout = 20 * time.Second

// strike ends the processes and removes what the scenario left, on a real broker and Redis too.
func (s *stage) strike(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), strikeTimeout, fmt.Errorf("clean-up took longer than %s", strikeTimeout))
	defer cancel()
	var err error
	if s.client != nil && s.o.Kafka != "" {
		err = errors.Join(err, s.deleteTopics(ctx))
	}
	if s.o.Redis != "" {
		err = errors.Join(err, s.deleteKeys(ctx))
	}
	if s.client != nil {
		s.client.Close()
	}
	for _, p := range []*process{s.load, s.receiver, s.services} {
		if p != nil {
			err = errors.Join(err, p.stop())
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *stage) deleteTopics(ctx context.Context) error {
	admin := kadm.NewClient(s.client)
	names := slices.Clone(s.sources)
	for _, spec := range s.topics.Specs() {
		names = append(names, spec.Name)
	}
	if _, err := admin.DeleteTopics(ctx, names...); err != nil {
		return fmt.Errorf("delete the topics %s*: %w", s.prefix, err)
	}
	listed, err := admin.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list the groups: %w", err)
	}
	var groups []string
	for _, name := range listed.Groups() {
		if strings.HasPrefix(name, s.prefix) {
			groups = append(groups, name)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	if _, err := admin.DeleteGroups(ctx, groups...); err != nil {
		return fmt.Errorf("delete the groups %s*: %w", s.prefix, err)
	}
	return nil
}

func (s *stage) deleteKeys(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: s.redis})
	defer func() { _ = client.Close() }()
	keys := client.Scan(ctx, 0, s.prefix+"*", 1000).Iterator()
	for keys.Next(ctx) {
		if err := client.Unlink(ctx, keys.Val()).Err(); err != nil {
			return fmt.Errorf("delete the keys %s*: %w", s.prefix, err)
		}
	}
	if err := keys.Err(); err != nil {
		return fmt.Errorf("delete the keys %s*: %w", s.prefix, err)
	}
	return nil
}

// seed registers webhooks, before any relay runs.
func (s *stage) seed(ctx context.Context, integrations []*catalog.Integration, webhooks []*catalog.Webhook) error {
	s.say.step("registering %d webhooks", len(webhooks))
	return registry.Seed(ctx, s.client, s.topics, s.keys, integrations, webhooks)
}

// publish has the load publish and waits until the broker has it all.
func (s *stage) publish(ctx context.Context, p publication) error {
	p.Kafka, p.Topic = s.kafka, s.topic
	return s.load.call(ctx, "publish", p, nil)
}

// group gives a consumer group that nobody has used.
func (s *stage) group() string {
	s.groups++
	return fmt.Sprintf("%sgroup%d", s.prefix, s.groups)
}

// startBare starts the bare loop. slots is the pattern of its URLs.
func (s *stage) startBare(ctx context.Context, path string, width, workers int) (*process, error) {
	p, err := s.o.start(s.dir, roleBare)
	if err != nil {
		return nil, err
	}
	loop := bareLoop{Kafka: s.kafka, Topic: s.topic, Group: s.group(), URL: s.url + path, Width: width, Workers: workers}
	if err := p.call(ctx, "start", loop, nil); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// relayProcess is a relay that is measured.
type relayProcess struct {
	*process
	group      string
	admin, ops string // URLs
}

// emptyRetries deletes what earlier relays left in the retry topics. Each relay has groups of its own and would read it
// again, as duplicates.
func (s *stage) emptyRetries(ctx context.Context) error {
	admin := kadm.NewClient(s.client)
	ends, err := admin.ListEndOffsets(ctx, s.topics.RetryAll()...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("ends of the retry topics: %w", err)
	}
	deleted, err := admin.DeleteRecords(ctx, ends.Offsets())
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return fmt.Errorf("empty the retry topics: %w", err)
	}
	return nil
}

// startRelay starts `relay serve` with everything on, from the beginning of the topic.
func (s *stage) startRelay(ctx context.Context) (*relayProcess, error) {
	if err := s.emptyRetries(ctx); err != nil {
		return nil, err
	}
	return s.startMember(ctx, s.group())
}

// startMember starts a relay in a group, which others may be in.
func (s *stage) startMember(ctx context.Context, group string) (*relayProcess, error) {
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	ops, err := freeAddress()
	if err != nil {
		return nil, err
	}
	delays := make([]string, len(s.topics.Delays))
	for i, d := range s.topics.Delays {
		delays[i] = d.String()
	}
	args := []string{"serve", "--kafka", s.kafka, "--redis", s.redis, "--instance-id", "", "--group", group,
		"--topic-prefix", s.topics.Prefix, "--domain-topics", s.topic + "=debt", "--topic-partitions", fmt.Sprint(s.topics.Partitions),
		"--topic-replication", "1", "--retry-delays", strings.Join(delays, ","), "--event-max-bytes", "1MiB", "--from", "earliest",
		"--allow-http", "--allow-networks", "127.0.0.0/8", "--admin-addr", admin, "--ops-addr", ops, "--log-level", "error"}
	p, err := s.o.start(s.dir, roleRelay, args...)
	if err != nil {
		return nil, err
	}
	return &relayProcess{process: p, group: group, admin: "http://" + admin, ops: "http://" + ops}, nil
}

// freeAddress is a port on loopback that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}
