package registry

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// Seed writes integrations and webhooks straight into the topic, some ten thousand a second, and returns when all are
// durable. It checks nothing, fences nobody and replaces what has the same tenant and uid: it is for filling the topic
// of a relay that does not run yet. Resources must be complete (Normalize) and have their uid.
func Seed(ctx context.Context, client *kgo.Client, topics relay.Topics, keys *Keyring, integrations []*catalog.Integration, webhooks []*catalog.Webhook) error {
	records := make([]*kgo.Record, 0, len(integrations)+len(webhooks))
	add := func(key recordKey, content any) error {
		value, err := encodeRecord(keys, key, content)
		if err != nil {
			return err
		}
		records = append(records, &kgo.Record{Topic: topics.Webhooks(), Key: []byte(key.String()), Value: value})
		return nil
	}
	for _, in := range integrations {
		if err := checkKey(in.Tenant, in.UID, in.Name); err != nil {
			return fmt.Errorf("seed integration %q: %w", in.Name, err)
		}
		if err := add(integrationKey(in), in); err != nil {
			return fmt.Errorf("seed integration %q: %w", in.Name, err)
		}
	}
	for _, w := range webhooks {
		if err := checkKey(w.Tenant, w.UID, w.ID); err != nil {
			return fmt.Errorf("seed webhook %q: %w", w.ID, err)
		}
		if err := add(webhookKey(w), w); err != nil {
			return fmt.Errorf("seed webhook %q: %w", w.ID, err)
		}
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("seed %s: %w", topics.Webhooks(), err)
	}
	return nil
}
