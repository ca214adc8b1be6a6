package history

import (
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// Options configure a History. All fields are required.
type Options struct {
	// Client reads the topics; it is not owned.
	Client *kgo.Client
	Topics relay.Topics
	// Domains are the domain topics, by name.
	Domains map[string]string
	// Decode turns a record of a domain topic into an event, as intake does.
	Decode func(*kgo.Record) (*catalog.Event, error)

	Redis       redis.UniversalClient
	RedisPrefix string
}

// History answers what has happened. Its methods may be called from any goroutine.
type History struct {
	o      Options
	topics topics
	keys   keys
}

// New makes a History, which has nothing to close.
func New(o Options) *History {
	return &History{o: o, topics: topics{client: o.Client, admin: kadm.NewClient(o.Client)}, keys: keys{o.RedisPrefix}}
}
