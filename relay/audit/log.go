package audit

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options of a Log.
type Options struct {
	// Client produces and reads; it must produce with acks from all replicas, which is kgo's default. It is borrowed.
	Client *kgo.Client
	// Topic of one partition.
	Topic string
	// Log default: none.
	Log *slog.Logger
	// Registerer may be nil: nothing is exported then.
	Registerer prometheus.Registerer
}

// Log appends to the trail and reads it. It is safe for concurrent use and has nothing to close.
type Log struct {
	client *kgo.Client
	admin  *kadm.Client
	topic  string
	log    *slog.Logger
	// unreadable counts records that are no entries each time one is passed over.
	unreadable prometheus.Counter
}

// NewLog makes a Log. It does no I/O.
func NewLog(o Options) (*Log, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{client: o.Client, admin: kadm.NewClient(o.Client), topic: o.Topic, log: o.Log.With("component", "audit"),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "relay_audit_unreadable_total", Help: "Records of the audit topic that were passed over because they are no entries.",
		}),
	}
	if o.Registerer != nil {
		if err := o.Registerer.Register(l.unreadable); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
	}
	return l, nil
}

// Write appends an entry about what the call of ctx is going to do and returns when the brokers have acknowledged it.
// Time and call are filled in. After an error the entry may be there all the same; the caller must not act.
func (l *Log) Write(ctx context.Context, e Entry) error {
	e.Time, e.Call = now(), FromContext(ctx)
	rec, err := Record(l.topic, e)
	if err != nil {
		return err
	}
	if err := l.client.ProduceSync(ctx, rec).FirstErr(); err != nil {
		return fmt.Errorf("write to %s: %w", l.topic, err)
	}
	return nil
}

// now has the precision that JSON keeps and the API shows.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
