package main

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/intake/envelope"
	"eventrelay/relay/payload"
	"eventrelay/relay/payload/receive"
)

// TestPublishEveryType publishes the sample of every type that a platform documents. It goes to the topic of its domain,
// intake understands it, and the platform's format carries it as a receiver of that platform expects it.
func TestPublishEveryType(t *testing.T) {
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	decoder, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: relay.DefaultMaxEventBytes})
	require.NoError(t, err)
	count := map[catalog.Platform]int{}
	for _, known := range catalog.EventTypes() {
		c := publishCmd{Sample: known.Name, Count: 1}
		records, err := c.records(nil, publishNow)
		if known.Domain == catalog.DomainRelay {
			require.ErrorContains(t, err, known.Name+" is not one of a platform's", "the relay's own happen, they are not published")
			continue
		}
		require.NoError(t, err, known.Name)
		require.Len(t, records, 1)
		require.Equal(t, known.Domain, records[0].record.Topic, known.Name)
		ev := decoded(t, decoder, records[0].record)
		require.Equal(t, known.Name, ev.Type)
		require.NotEmpty(t, ev.ID)

		format := catalog.Format(known.Platform) // of the same name
		encoding, err := payload.Compile(format, payload.Keys{Pair: pair})
		require.NoError(t, err, known.Name)
		var m payload.Message
		delivery := relay.NewDelivery(ev, "wh_1", relay.Coordinates{Topic: known.Domain}, 0, nil, publishNow)
		require.NoError(t, encoding.Compose(&m, delivery, publishNow), known.Name)
		header := http.Header{}
		for _, h := range m.Headers {
			header.Add(h.Name, h.Value)
		}
		receiver, err := receive.New(receive.Options{Format: format, AnySender: true})
		require.NoError(t, err)
		event, err := receiver.Open(header, m.Body)
		require.NoError(t, err, "%s: %s", known.Name, m.Body)
		require.Equal(t, known.Name, event.Type)
		require.Equal(t, ev.ID, event.ID)
		count[catalog.Platform(known.Platform)]++
	}
	require.Equal(t, map[catalog.Platform]int{
		catalog.PlatformOphelos: 54, catalog.PlatformSocotra: 100, catalog.PlatformOcelot: 5, catalog.PlatformDonutwork: 2, catalog.PlatformReceeve: 2,
	}, count)
}

func decoded(t *testing.T, decoder *envelope.Decoder, rec *kgo.Record) *catalog.Event {
	t.Helper()
	ev, err := decoder.Decode(rec)
	require.NoError(t, err)
	return ev
}

// A versioned type has a sample by its name without the version, too.
func TestPublishSampleWithoutVersion(t *testing.T) {
	for name, want := range map[string]string{"event.claim.created": "event.claim.created.v1", "event.claim.updated.v1": "event.claim.updated.v1"} {
		c := publishCmd{Sample: name, Count: 1}
		records, err := c.records(nil, publishNow)
		require.NoError(t, err)
		require.Equal(t, want, records[0].eventType)
		require.Equal(t, "claim", records[0].record.Topic)
	}
	_, err := (&publishCmd{Sample: "event.claim", Count: 1}).records(nil, publishNow)
	require.ErrorContains(t, err, "no such event type in the catalog")
}
