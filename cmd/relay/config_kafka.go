package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"eventrelay/catalog"
)

// kafkaConfig says how the broker is reached.
type kafkaConfig struct {
	Brokers       []string       `name:"kafka" env:"RELAY_KAFKA" yaml:"kafka.brokers" default:"127.0.0.1:9092" placeholder:"HOST:PORT" help:"Kafka brokers to begin with (${default})." group:"Kafka"`
	TLS           bool           `name:"kafka-tls" env:"RELAY_KAFKA_TLS" yaml:"kafka.tls.enabled" help:"Connect with TLS." group:"Kafka"`
	TLSCA         string         `name:"kafka-tls-ca" env:"RELAY_KAFKA_TLS_CA" yaml:"kafka.tls.ca" placeholder:"FILE" help:"PEM file with the authorities to trust instead of the system's." group:"Kafka"`
	TLSCert       string         `name:"kafka-tls-cert" env:"RELAY_KAFKA_TLS_CERT" yaml:"kafka.tls.cert" placeholder:"FILE" help:"PEM file with the client's certificate." group:"Kafka"`
	TLSKey        string         `name:"kafka-tls-key" env:"RELAY_KAFKA_TLS_KEY" yaml:"kafka.tls.key" placeholder:"FILE" help:"PEM file with the client's private key." group:"Kafka"`
	SASLMechanism string         `name:"kafka-sasl-mechanism" env:"RELAY_KAFKA_SASL_MECHANISM" yaml:"kafka.sasl.mechanism" help:"plain, scram-sha-256 or scram-sha-512; empty: no SASL." group:"Kafka"`
	SASLUser      string         `name:"kafka-sasl-user" env:"RELAY_KAFKA_SASL_USER" yaml:"kafka.sasl.user" help:"SASL user." group:"Kafka"`
	SASLPassword  catalog.Secret `name:"kafka-sasl-password" env:"RELAY_KAFKA_SASL_PASSWORD" yaml:"kafka.sasl.password" placeholder:"PASSWORD" help:"SASL password. Prefer the environment variable." group:"Kafka"`
}

const (
	saslPlain       = "plain"
	saslScramSHA256 = "scram-sha-256"
	saslScramSHA512 = "scram-sha-512"
)

func (c kafkaConfig) check(p *problems) {
	if len(c.Brokers) == 0 {
		p.add("kafka", "is empty: must name at least one broker")
	}
	for _, broker := range c.Brokers {
		p.dialAddr("kafka", broker)
	}
	if !c.TLS && (c.TLSCA != "" || c.TLSCert != "" || c.TLSKey != "") {
		p.add("kafka-tls", "is off, but certificates are configured: switch it on or remove them")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		p.add("kafka-tls-cert", "and --kafka-tls-key belong together: set both or neither")
	}
	if c.SASLMechanism == "" {
		if c.SASLUser != "" || c.SASLPassword.IsSet() {
			p.add("kafka-sasl-mechanism", "is not set, but user or password are: must be %s, %s or %s", saslPlain, saslScramSHA256, saslScramSHA512)
		}
		return
	}
	p.oneOf("kafka-sasl-mechanism", c.SASLMechanism, saslPlain, saslScramSHA256, saslScramSHA512)
	if c.SASLUser == "" {
		p.add("kafka-sasl-user", "is not set, which --kafka-sasl-mechanism needs")
	}
	if !c.SASLPassword.IsSet() {
		p.add("kafka-sasl-password", "is not set, which --kafka-sasl-mechanism needs")
	}
}

// Opts are the options of every Kafka client: brokers and security.
func (c kafkaConfig) Opts() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...)}
	if c.TLS {
		config, err := tlsConfig("--kafka-tls", c.TLSCA, c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	switch user, password := c.SASLUser, c.SASLPassword.Reveal(); c.SASLMechanism {
	case saslPlain:
		opts = append(opts, kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
	case saslScramSHA256:
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism()))
	case saslScramSHA512:
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()))
	}
	return opts, nil
}

// tlsConfig reads PEM files; flag is what their flags begin with.
func tlsConfig(flag, ca, cert, key string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read %s-ca: %w", flag, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s-ca %s holds no PEM certificate", flag, ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("read %s-cert and %s-key: %w", flag, flag, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
