package payload

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// The key and message of the reference libraries' published vector.
const vectorSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var (
	fixedNow    = time.Unix(1614265330, 0)
	coordinates = relay.Coordinates{Topic: "debt", TopicID: [16]byte{1}, Partition: 3, Offset: 42}
)

// builtin are the formats that splice data or pass it on, and are signed alike.
var builtin = []catalog.Format{
	catalog.FormatStandard, catalog.FormatCloudEvents, catalog.FormatCloudEventsBinary, catalog.FormatRaw,
}

// platforms are the formats that receivers of the five platforms know.
var platforms = []catalog.Format{
	catalog.FormatOphelos, catalog.FormatSocotra, catalog.FormatOcelot, catalog.FormatDonutwork, catalog.FormatReceeve,
}

// testPair is the key pair of every tenant; it is published, and of no use to anybody.
var testPair = func() *rsa.PrivateKey {
	text, err := os.ReadFile("../../testdata/keys/tenant.pem")
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return key.(*rsa.PrivateKey)
}()

func signedWith(secrets ...string) catalog.Signing {
	s := catalog.Signing{Enabled: true}
	for _, secret := range secrets {
		s.Secrets = append(s.Secrets, catalog.SigningSecret{Value: catalog.NewSecret(secret), Encoding: catalog.SecretWhsec})
	}
	return s
}

func compile(t testing.TB, format catalog.Format, signing catalog.Signing) *Encoding {
	t.Helper()
	e, err := Compile(format, Keys{Signing: signing, Pair: testPair})
	require.NoError(t, err)
	return e
}

// event is one whose record is its data.
func event(data string) *catalog.Event {
	return &catalog.Event{
		ID: "evt_1", Source: "/platform", Type: "debt.paid", Domain: "debt", Tenant: "default",
		Time: time.Date(2026, 3, 1, 12, 34, 56, 0, time.UTC), Livemode: true,
		Raw: []byte(data), Data: []byte(data), Span: catalog.Span{To: len(data)},
	}
}

func delivery(ev *catalog.Event) *relay.Delivery {
	return relay.NewDelivery(ev, "wh_1", coordinates, 7, nil, fixedNow)
}

func compose(t testing.TB, e *Encoding, d *relay.Delivery) *Message {
	t.Helper()
	m := &Message{}
	require.NoError(t, e.Compose(m, d, fixedNow))
	return m
}

// received is the headers as a receiver's HTTP library shows them.
func (m *Message) received() http.Header {
	h := http.Header{}
	for _, header := range m.Headers {
		h.Add(header.Name, header.Value)
	}
	return h
}
