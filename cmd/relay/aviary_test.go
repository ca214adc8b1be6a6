package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"eventrelay/relay"
)

// canary is a secret that must show up nowhere. Values that belong to a webhook's configuration, such as the query of
// its URL, are shown to its owner and stored with it, and must show up nowhere else.
type canary struct {
	name, value   string
	configuration bool
}

// forms are the ways in which a value could be written.
func (c canary) forms() []string {
	quoted, _ := json.Marshal(c.value)
	all := []string{c.value, strings.Trim(string(quoted), `"`), url.QueryEscape(c.value), hex.EncodeToString([]byte(c.value)), fmt.Sprintf("%v", []byte(c.value))}
	for cut := range 3 { // wherever it stands in what was encoded
		if encoded := base64.RawStdEncoding.EncodeToString([]byte(c.value)[cut:]); len(encoded) > 12 {
			all = append(all, encoded[:len(encoded)-2])
		}
	}
	return all
}

// sink is a place where everything that was written there is read from. shown: it may show configuration.
type sink struct {
	name  string
	text  []byte
	shown bool
}

// leaks names every canary that sings in a sink.
func leaks(canaries []canary, sinks []sink) []string {
	var found []string
	for _, s := range sinks {
		for _, c := range canaries {
			if c.configuration && s.shown {
				continue
			}
			for _, form := range c.forms() {
				if at := bytes.Index(s.text, []byte(form)); at >= 0 {
					found = append(found, fmt.Sprintf("%s in %s: …%.60q…", c.name, s.name, s.text[max(0, at-60):at]))
					break
				}
			}
		}
	}
	return found
}

// aviary is a relay with secrets in every place that takes one.
type aviary struct {
	t        *testing.T
	f        *fleet
	p        *relayProcess
	canaries []canary

	mu    sync.Mutex
	shown bytes.Buffer // what the API answered
}

func (a *aviary) secret(name string) string {
	value := "cnry-" + strings.ReplaceAll(name, " ", "-") + "-7f3b1c9e2d"
	a.canaries = append(a.canaries, canary{name: name, value: value})
	return value
}

// configuration is a value that its owner may see.
func (a *aviary) configuration(name string) string {
	value := a.secret(name)
	a.canaries[len(a.canaries)-1].configuration = true
	return value
}

// do calls the admin API and keeps what it answers, headers included.
func (a *aviary) do(method, path, body string, header ...string) (int, []byte) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.p.api.url+path, strings.NewReader(body))
	require.NoError(a.t, err)
	req.Header.Set("Authorization", "Bearer "+a.p.api.key)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(a.t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(a.t, err)
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(&a.shown, "%s %s: %s %v\n%s\n", method, path, resp.Status, resp.Header, answer)
	return resp.StatusCode, answer
}

func (a *aviary) must(want int, method, path, body string) []byte {
	a.t.Helper()
	status, answer := a.do(method, path, body)
	require.Equal(a.t, want, status, "%s %s: %s", method, path, answer)
	return answer
}

// log is everything that the relay logged.
func (a *aviary) log() []byte {
	a.f.logs.mu.Lock()
	defer a.f.logs.mu.Unlock()
	return bytes.Clone(a.f.logs.b.Bytes())
}

// sinks reads everything that the relay wrote anywhere.
func (a *aviary) sinks() []sink {
	a.t.Helper()
	sinks := []sink{{name: "log", text: a.log()}}
	a.mu.Lock()
	sinks = append(sinks, sink{name: "API", text: bytes.Clone(a.shown.Bytes()), shown: true})
	a.mu.Unlock()
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		resp, err := http.Get(a.p.ops + path)
		require.NoError(a.t, err)
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		require.NoError(a.t, err)
		sinks = append(sinks, sink{name: path, text: text})
	}
	for topic, text := range a.kafka() {
		// The attempt log (in Redis: history) has what receivers answered, who may repeat what the webhook's owner makes them be told.
		shown := topic == a.f.topics.Webhooks() || topic == a.f.topics.Attempts()
		sinks = append(sinks, sink{name: "topic " + topic, text: text, shown: shown})
	}
	for key, text := range a.redis() {
		sinks = append(sinks, sink{name: "Redis " + key, text: text, shown: strings.Contains(key, "{registry}") || strings.Contains(key, "{history:")})
	}
	return sinks
}

// kafka reads every byte of every topic but the source topics, which the platform writes.
func (a *aviary) kafka() map[string][]byte {
	ctx, cancel := context.WithTimeout(a.t.Context(), 30*time.Second)
	defer cancel()
	ends, err := a.f.admin.ListEndOffsets(ctx)
	require.NoError(a.t, err)
	left, from := map[string]map[int32]int64{}, map[string]map[int32]kgo.Offset{}
	starts, err := a.f.admin.ListStartOffsets(ctx)
	require.NoError(a.t, err)
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(o.Topic, o.Partition)
		if o.Offset == start.Offset {
			return
		}
		if left[o.Topic] == nil {
			left[o.Topic], from[o.Topic] = map[int32]int64{}, map[int32]kgo.Offset{}
		}
		left[o.Topic][o.Partition], from[o.Topic][o.Partition] = o.Offset, kgo.NewOffset().AtStart()
	})
	reader, err := kgo.NewClient(append(append([]kgo.Opt{}, a.f.kafka...), kgo.ConsumePartitions(from), kgo.KeepControlRecords())...)
	require.NoError(a.t, err)
	defer reader.Close()
	text := map[string][]byte{}
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		require.NoError(a.t, ctx.Err(), "left: %v", left)
		fetches.EachRecord(func(rec *kgo.Record) {
			b := append(append(text[rec.Topic], rec.Key...), rec.Value...)
			for _, h := range rec.Headers {
				b = append(append(b, h.Key...), h.Value...)
			}
			text[rec.Topic] = append(b, '\n')
			if rec.Offset >= left[rec.Topic][rec.Partition]-1 {
				delete(left[rec.Topic], rec.Partition)
			}
			if len(left[rec.Topic]) == 0 {
				delete(left, rec.Topic)
			}
		})
	}
	return text
}

// redis reads every key, whatever its type.
func (a *aviary) redis() map[string][]byte {
	ctx := a.t.Context()
	keys, err := a.f.redis.Keys(ctx, "*").Result()
	require.NoError(a.t, err)
	text := map[string][]byte{}
	for _, key := range keys {
		var value any
		switch kind := a.f.redis.Type(ctx, key).Val(); kind {
		case "string":
			value = a.f.redis.Get(ctx, key).Val()
		case "hash":
			value = a.f.redis.HGetAll(ctx, key).Val()
		case "list":
			value = a.f.redis.LRange(ctx, key, 0, -1).Val()
		case "set":
			value = a.f.redis.SMembers(ctx, key).Val()
		case "zset":
			value = a.f.redis.ZRangeWithScores(ctx, key, 0, -1).Val()
		case "stream":
			value = a.f.redis.XRange(ctx, key, "-", "+").Val()
		default:
			a.t.Fatalf("key %s is of type %s: teach this test to read it", key, kind)
		}
		text[key] = []byte(fmt.Sprintf("%s %v", key, value))
	}
	return text
}

// newAviary starts Kafka and Redis that ask for passwords, and a relay that logs everything.
func newAviary(t *testing.T) *aviary {
	a := &aviary{t: t}
	kafkaPassword, redisPassword := a.secret("Kafka password"), a.secret("Redis password")
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "relay", kafkaPassword),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	cache := miniredis.RunT(t)
	cache.RequireAuth(redisPassword)
	f := &fleet{seeds: strings.Join(cluster.ListenAddrs(), ","), group: "relay", cache: cache, domains: domainNames,
		kafka:  []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.SASL(plain.Auth{User: "relay", Pass: kafkaPassword}.AsMechanism())},
		topics: relay.Topics{Prefix: "relay.", Delays: []time.Duration{time.Second}, Partitions: 2, Replication: 1, MaxEventBytes: 1 << 20},
		redis:  redis.NewClient(&redis.Options{Addr: cache.Addr(), Password: redisPassword})}
	t.Cleanup(func() { _ = f.redis.Close() })
	f.client, err = kgo.NewClient(f.kafka...)
	require.NoError(t, err)
	t.Cleanup(f.client.Close)
	f.admin = kadm.NewClient(f.client)
	specs := f.topics.Specs()
	for _, domain := range domainNames {
		specs = append(specs, relay.TopicSpec{Name: domain, Partitions: 1})
	}
	_, err = relay.CreateTopics(t.Context(), f.admin, 1, specs)
	require.NoError(t, err)
	a.f = f
	a.p = f.start(t, "canary", "--kafka-sasl-mechanism", "plain", "--kafka-sasl-user", "relay", "--kafka-sasl-password", kafkaPassword,
		"--redis-password", redisPassword, "--log-level", "debug")
	a.p.awaitReady(t, f)
	// What fleet.start gives every relay.
	a.canaries = append(a.canaries, canary{name: "bootstrap key", value: a.p.api.key}, canary{name: "master key", value: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"})
	return a
}

// echo answers with everything that it was sent, as debugging tools do; the path says with which status.
func echo(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/hang") {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return
	}
	status := http.StatusOK
	_, _ = fmt.Sscanf(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], "%d", &status)
	w.WriteHeader(status)
	for name, values := range r.Header {
		if strings.HasPrefix(name, "Authorization") || strings.HasPrefix(name, "X-") {
			_, _ = fmt.Fprintf(w, "%s: %s\n", name, strings.Join(values, ","))
		}
	}
}

// newClientPair is a client certificate with its key, in PEM.
func newClientPair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}
