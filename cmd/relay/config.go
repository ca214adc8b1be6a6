package main

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/intake"
)

// The configuration of the binary. There is one schema, the structs below: each field names its flag, its environment
// variable and its key in the YAML file. A flag wins over the environment, the environment over the file, the file
// over the default. parseArgs fills the structs and checks them; nothing is read later than that but key files.

// logConfig says what is logged and how.
type logConfig struct {
	LogLevel  string `name:"log-level" env:"RELAY_LOG_LEVEL" yaml:"log.level" default:"info" help:"Least severe lines to log: debug, info, warn or error." group:"Operation"`
	LogFormat string `name:"log-format" env:"RELAY_LOG_FORMAT" yaml:"log.format" default:"text" help:"Format of log lines: text or json." group:"Operation"`
}

func (c logConfig) check(p *problems) {
	p.oneOf("log-level", c.LogLevel, "debug", "info", "warn", "error")
	p.oneOf("log-format", c.LogFormat, "text", "json")
}

// listenConfig says where the process can be reached.
type listenConfig struct {
	AdminAddr string `name:"admin-addr" env:"RELAY_ADMIN_ADDR" yaml:"admin.addr" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where the admin API listens." group:"Operation"`
	OpsAddr   string `name:"ops-addr" env:"RELAY_OPS_ADDR" yaml:"ops.addr" default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Where /healthz, /readyz and /metrics listen." group:"Operation"`

	Proxies []netip.Prefix `name:"trusted-proxies" env:"RELAY_TRUSTED_PROXIES" yaml:"admin.trustedProxies" placeholder:"CIDR" help:"Networks of the proxies in front of the admin API, whose X-Forwarded-For is believed. Without any it is ignored." group:"Operation"`
}

func (c listenConfig) check(p *problems) {
	p.listenAddr("admin-addr", c.AdminAddr)
	p.listenAddr("ops-addr", c.OpsAddr)
	for _, proxies := range c.Proxies {
		if proxies.Bits() == 0 {
			p.add("trusted-proxies", "contains %s, which lets every client choose the address that it is limited by", proxies)
		}
	}
	if c.AdminAddr == c.OpsAddr && !strings.HasSuffix(c.AdminAddr, ":0") {
		p.add("ops-addr", "is %s, which is also --admin-addr: they must differ", c.OpsAddr)
	}
}

// topicConfig names the topics that are read and written.
type topicConfig struct {
	DomainTopics map[string]string `name:"domain-topics" env:"RELAY_DOMAIN_TOPICS" yaml:"domainTopics" default:"debt=debt,payment=payment,claim=claim,policy=policy,sms=sms" mapsep:"," placeholder:"TOPIC=DOMAIN,…" help:"Topics to read, and the domain of the events in each (${default})." group:"Topics"`
	Prefix       string            `name:"topic-prefix" env:"RELAY_TOPIC_PREFIX" yaml:"topics.prefix" default:"relay." help:"What the names of the relay's own topics begin with." group:"Topics"`
	Partitions   int32             `name:"topic-partitions" env:"RELAY_TOPIC_PARTITIONS" yaml:"topics.partitions" default:"12" help:"Partitions of the retry, diverted and attempts topics when they are made; the diverted topic keeps its number from then on." group:"Topics"`
	Replication  int16             `name:"topic-replication" env:"RELAY_TOPIC_REPLICATION" yaml:"topics.replication" default:"-1" help:"Replicas of the relay's own topics when they are made; -1 leaves it to the broker." group:"Topics"`
	RetryDelays  []time.Duration   `name:"retry-delays" env:"RELAY_RETRY_DELAYS" yaml:"retry.delays" default:"5s,30s,2m,10m,1h,6h" placeholder:"DURATION" help:"Delays of the retry topics, shortest first; a delivery hops through them until it is due (${default})." group:"Topics"`
	EventMax     byteSize          `name:"event-max-bytes" env:"RELAY_EVENT_MAX_BYTES" yaml:"event.maxBytes" default:"10MiB" placeholder:"SIZE" help:"Largest event that is relayed (${default}); a larger one is rejected with its coordinates." group:"Topics"`
	AuditKept    time.Duration     `name:"audit-retention" env:"RELAY_AUDIT_RETENTION" yaml:"audit.retention" default:"9600h" help:"How long the audit trail is kept (400 days by default)." group:"Topics"`
}

const (
	maxTopicPartitions = 10_000
	// minRetryDelay and maxRetryDelay bound a class of the retry wheel: below, the hops cost more than they are
	// precise; above, a class outlives the longest wait that a webhook may ask for.
	minRetryDelay, maxRetryDelay = time.Second, 24 * time.Hour
	maxRetryDelays               = 16
	// maxEventMax is what a broker's fetch answer (fetch.max.bytes, 55 MiB by default) still carries with room.
	maxEventMax = 32 << 20
)

func (c topicConfig) check(p *problems) {
	if len(c.DomainTopics) == 0 {
		p.add("domain-topics", "is empty: name at least one topic to read, as topic=domain")
	}
	for topic, domain := range c.DomainTopics {
		if !isTopicName(topic) {
			p.add("domain-topics", "names the topic %q: a topic is 1 to 249 letters, digits, '.', '_' or '-'", topic)
		}
		if strings.TrimSpace(domain) == "" {
			p.add("domain-topics", "gives topic %q no domain", topic)
		}
		if domain == catalog.DomainRelay {
			p.add("domain-topics", "gives topic %q the domain %q, which is that of the relay's own events", topic, domain)
		}
		if c.Prefix != "" && strings.HasPrefix(topic, c.Prefix) {
			p.add("domain-topics", "names the topic %q, which begins with --topic-prefix %q like the relay's own", topic, c.Prefix)
		}
	}
	// The longest name behind the prefix is about 20 characters.
	if !isTopicName(c.Prefix) || len(c.Prefix) > 200 {
		p.add("topic-prefix", "is %q: must be 1 to 200 letters, digits, '.', '_' or '-'", c.Prefix)
	}
	p.between("topic-partitions", int64(c.Partitions), 1, maxTopicPartitions)
	if c.Replication != -1 {
		p.between("topic-replication", int64(c.Replication), 1, 100)
	}
	p.between("event-max-bytes", int64(c.EventMax), 1<<10, maxEventMax)
	p.durationBetween("audit-retention", c.AuditKept, 24*time.Hour, 100*365*24*time.Hour)
	c.checkDelays(p)
}

func (c topicConfig) checkDelays(p *problems) {
	if n := len(c.RetryDelays); n == 0 || n > maxRetryDelays {
		p.add("retry-delays", "has %d delays: must have 1 to %d", n, maxRetryDelays)
	}
	for i, d := range c.RetryDelays {
		if d < minRetryDelay || d > maxRetryDelay {
			p.add("retry-delays", "contains %s: each must be between %s and %s", d, minRetryDelay, maxRetryDelay)
		}
		if i > 0 && d <= c.RetryDelays[i-1] {
			p.add("retry-delays", "has %s after %s: each must be longer than the one before it", d, c.RetryDelays[i-1])
		}
	}
}

// Topics are the relay's own topics.
func (c topicConfig) Topics() relay.Topics {
	return relay.Topics{
		Prefix: c.Prefix, Delays: c.RetryDelays, Partitions: c.Partitions, Replication: c.Replication, MaxEventBytes: int(c.EventMax),
		AuditRetention: c.AuditKept,
	}
}

func isTopicName(s string) bool {
	return s != "" && len(s) <= 249 && s != "." && s != ".." &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// intakeConfig says how the relay reads and what it may hold.
type intakeConfig struct {
	Group            string        `name:"group" env:"RELAY_GROUP" yaml:"group" default:"relay" help:"Consumer group of all instances." group:"Intake"`
	InstanceID       string        `name:"instance-id" env:"RELAY_INSTANCE_ID" yaml:"instanceId" default:"${hostname}" help:"Name of this instance in the group, unique and kept over restarts, so that a quick restart moves no partitions; empty makes the member a new one at each start." group:"Intake"`
	Memory           byteSize      `name:"memory" env:"RELAY_MEMORY" yaml:"memory" default:"512MiB" placeholder:"SIZE" help:"Memory that the process may use (${default}); intake pauses before a part outgrows its share. Give a container a tenth more." group:"Intake"`
	WindowRecords    int           `name:"window-records" env:"RELAY_WINDOW_RECORDS" yaml:"window.records" default:"0" help:"Events read and not settled at most, over all partitions; 0 is what the memory allows, at most 10000." group:"Intake"`
	WindowBytes      byteSize      `name:"window-bytes" env:"RELAY_WINDOW_BYTES" yaml:"window.bytes" default:"0" placeholder:"SIZE" help:"Bytes of those events at most; 0 is an eighth of the memory." group:"Intake"`
	WindowDeliveries int           `name:"window-deliveries" env:"RELAY_WINDOW_DELIVERIES" yaml:"window.deliveries" default:"0" help:"Deliveries of those events at most; 0 is what the memory allows, at most 10000." group:"Intake"`
	SessionTimeout   time.Duration `name:"session-timeout" env:"RELAY_SESSION_TIMEOUT" yaml:"sessionTimeout" default:"45s" help:"How long an instance may be silent before the others get its partitions; a restart must be quicker to keep them." group:"Intake"`
	DrainTimeout     time.Duration `name:"drain-timeout" env:"RELAY_DRAIN_TIMEOUT" yaml:"drainTimeout" default:"10s" help:"How long attempts under way may go on when the relay stops or gives up a partition." group:"Intake"`
	DivertRetention  time.Duration `name:"divert-retention" env:"RELAY_DIVERT_RETENTION" yaml:"divert.retention" default:"720h" help:"How long a diverted event is kept (30 days by default)." group:"Intake"`
}

// minSession leaves room for three heartbeats and a pause of the process; maxSession is the most that brokers allow
// (group.max.session.timeout.ms).
const minSession, maxSession = 2 * time.Second, 30 * time.Minute

// maxDrain leaves half of the group's rebalance timeout (60 s) for handing off and committing.
const maxDrain = 30 * time.Second

func (c intakeConfig) check(p *problems, eventMax byteSize) {
	if c.Group == "" {
		p.add("group", "is empty: must be the name of a consumer group")
	}
	if len(c.InstanceID) > 200 {
		p.add("instance-id", "is %d bytes long: must be at most 200", len(c.InstanceID))
	}
	p.between("window-records", int64(c.WindowRecords), 0, 10_000_000)
	p.between("window-deliveries", int64(c.WindowDeliveries), 0, 10_000_000)
	if c.WindowBytes != 0 {
		p.between("window-bytes", int64(c.WindowBytes), int64(eventMax), 64<<30)
	}
	p.between("memory", int64(c.Memory), 0, maxMemory)
	if _, err := divideMemory(int64(c.Memory), int64(eventMax), c.Limits()); err != nil && c.Memory >= 0 && c.Memory <= maxMemory {
		p.add("memory", "%v; raise it, or lower event.maxBytes or what is set of the window", err)
	}
	p.durationBetween("session-timeout", c.SessionTimeout, minSession, maxSession)
	p.durationBetween("drain-timeout", c.DrainTimeout, 0, maxDrain)
	p.durationBetween("divert-retention", c.DivertRetention, time.Hour, 10*365*24*time.Hour)
}

// Limits are what the operator set of the window's; 0 is derived from the memory.
func (c intakeConfig) Limits() intake.Limits {
	return intake.Limits{Records: c.WindowRecords, Bytes: int64(c.WindowBytes), Deliveries: c.WindowDeliveries}
}

// egressConfig says where webhooks may make the relay connect to.
type egressConfig struct {
	AllowNetworks    []netip.Prefix `name:"allow-networks" env:"RELAY_ALLOW_NETWORKS" yaml:"allow.networks" placeholder:"CIDR" help:"Networks that endpoints may reach besides public addresses." group:"Endpoints"`
	AllowHTTP        bool           `name:"allow-http" env:"RELAY_ALLOW_HTTP" yaml:"allow.http" help:"Permit endpoints with http:// URLs." group:"Endpoints"`
	AllowInsecureTLS bool           `name:"allow-insecure-tls" env:"RELAY_ALLOW_INSECURE_TLS" yaml:"allow.insecureTLS" help:"Permit webhooks that do not verify the receiver's certificate." group:"Endpoints"`
	AllowNAT64       bool           `name:"allow-nat64" env:"RELAY_ALLOW_NAT64" yaml:"allow.nat64" help:"Permit 64:ff9b::/96 with a public IPv4 address inside, for networks that reach IPv4 so." group:"Endpoints"`
}

// Egress is the policy that these make.
func (c egressConfig) Egress() catalog.Egress {
	return catalog.Egress{AllowNetworks: c.AllowNetworks, AllowHTTP: c.AllowHTTP, NAT64: c.AllowNAT64, AllowInsecureTLS: c.AllowInsecureTLS}
}

// byteSize is a number of bytes that may be written with a unit: 65536, 64KiB, 10MiB, 1GiB.
type byteSize int64

var byteUnits = []struct {
	suffix string
	size   int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *byteSize) UnmarshalText(text []byte) error {
	for _, unit := range byteUnits {
		number, ok := strings.CutSuffix(string(text), unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 || n > (1<<62)/unit.size {
			break
		}
		*b = byteSize(n * unit.size)
		return nil
	}
	return fmt.Errorf("expected a size such as 65536, 64KiB, 10MiB or 1GiB but got %q", text)
}

// String gives the largest unit that divides the size.
func (b byteSize) String() string {
	for _, unit := range byteUnits {
		if int64(b) >= unit.size && int64(b)%unit.size == 0 {
			return strconv.FormatInt(int64(b)/unit.size, 10) + unit.suffix
		}
	}
	return "0B"
}

// configVars are the values that defaults refer to.
func configVars() kong.Vars {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "" // a dynamic member of the group, which is only slower at restarts
	}
	return kong.Vars{"hostname": hostname}
}
