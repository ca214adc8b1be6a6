package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a webhook's fields.
const (
	MaxIDLength          = 256      // bytes
	MaxDisplayNameLength = 256      // bytes
	MaxDescriptionLength = 4 << 10  // bytes
	MaxMetadataSize      = 16 << 10 // bytes of JSON
	MaxPatterns          = 512      // a webhook may name every type there is, some times over
	MaxDomains           = 64
	MaxOverrides         = 1024 // offices
	MaxOfficeLength      = 256  // bytes
	MaxRetries           = 32
	MinRetryWait         = time.Second
	MaxRetryWait         = 24 * time.Hour
	MinTimeout           = 100 * time.Millisecond
	MaxRateLimit         = 100_000 // attempts per second
)

// Validate says everything that is wrong with a normalized webhook, as a *ValidationError, and what is merely
// suspicious.
func (w *Webhook) Validate(r Rules) ([]Warning, error) {
	c := &checker{rules: r}
	c.identity(w)
	c.subscription(w)
	c.target(w)
	c.retry("retry", w.Retry)
	c.failureHandling("failureHandling", w.FailureHandling)
	if w.Alert != nil {
		c.name("alert.integration", w.Alert.Integration)
		c.integration("alert.integration", w.Alert.Integration)
	}
	c.overrides(w)
	return c.warnings, c.err()
}

func (c *checker) identity(w *Webhook) {
	c.name("id", w.ID)
	choice(c, "platform", w.Platform, platforms...)
	c.text("displayName", w.DisplayName, MaxDisplayNameLength)
	c.text("description", w.Description, MaxDescriptionLength)
	metadata := bytes.TrimSpace(w.Metadata)
	switch {
	case len(metadata) == 0 || string(metadata) == "null":
	case len(metadata) > MaxMetadataSize:
		c.fail("metadata", "it is larger than %d bytes", MaxMetadataSize)
	case metadata[0] != '{' || !json.Valid(metadata):
		c.fail("metadata", "it is not a JSON object")
	}
}

// name checks what an owner calls a thing.
func (c *checker) name(path, name string) {
	c.require(name != "", path, "it is empty")
	c.text(path, name, MaxIDLength)
	if strings.ContainsFunc(name, unicode.IsControl) {
		c.fail(path, "it has a control character")
	}
}

func (c *checker) text(path, text string, limit int) {
	c.require(len(text) <= limit, path, "it is longer than %d bytes", limit)
	c.require(utf8.ValidString(text), path, "it is not valid UTF-8")
}

// subscription checks which events the webhook wants.
func (c *checker) subscription(w *Webhook) {
	c.require(len(w.Events) <= MaxPatterns, "events", "there are more than %d", MaxPatterns)
	for i, text := range w.Events {
		path := fmt.Sprintf("events[%d]", i)
		pattern, err := ParsePattern(text)
		if err != nil {
			c.fail(path, "%v", err)
		} else if pattern.Kind() == PatternExact && !IsKnownType(text) {
			c.warnings = append(c.warnings, Warning{path, fmt.Sprintf("the catalog has no event type %q", text)})
		}
	}
	c.require(len(w.Domains) <= MaxDomains, "domains", "there are more than %d", MaxDomains)
	for i, domain := range w.Domains {
		c.require(isDomainName(domain), fmt.Sprintf("domains[%d]", i), "%q is not a domain: lower-case letters, digits, - and _", domain)
	}
	_, err := CompileFilter(w.Filter)
	var invalid *FilterError
	if errors.As(err, &invalid) {
		c.fail(filterPath(invalid.Path), "%s", invalid.Message)
	}
	choice(c, "format", w.Format, FormatStandard, FormatCloudEvents, FormatCloudEventsBinary, FormatRaw,
		FormatOphelos, FormatSocotra, FormatOcelot, FormatDonutwork, FormatReceeve)
	c.version("version", w.Format, w.Version)
}

func filterPath(path string) string {
	if path == "" || path[0] == '[' {
		return "filter" + path
	}
	return "filter." + path
}

// maxDomainLength is that of a Kafka topic, in bytes: by default a domain is read from the topic of its name.
const maxDomainLength = 249

// isDomainName allows what a topic may be called as well.
func isDomainName(name string) bool {
	return name != "" && len(name) <= maxDomainLength && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// target checks where deliveries go: the webhook's own endpoint, or an integration and nothing of its own beside it.
func (c *checker) target(w *Webhook) {
	c.headers("headers", w.Headers)
	timeout := time.Duration(w.Delivery.Timeout)
	c.require(MinTimeout <= timeout && timeout <= MaxTimeout, "delivery.timeout", "%v is not between %v and %v", timeout, MinTimeout, MaxTimeout)
	if w.Integration == "" {
		if w.URL == "" {
			c.fail("url", "either url or integration is required")
		} else {
			c.url("url", w.URL)
		}
		c.auth("auth", &w.Auth)
		c.signing("signing", &w.Signing)
		c.tls("tls", &w.TLS)
		c.limits("delivery.", w.Delivery.Concurrency, w.Delivery.RateLimit)
		return
	}
	c.name("integration", w.Integration)
	c.integration("integration", w.Integration)
	const taken = "the integration decides this: leave it out, or name no integration"
	c.require(w.URL == "", "url", taken)
	c.require(w.Auth.Type == AuthNone, "auth", taken)
	c.require(!w.Signing.Enabled && len(w.Signing.Secrets) == 0, "signing", taken)
	c.require(w.TLS == TLS{}, "tls", taken)
	c.require(w.Delivery.Concurrency == 0, "delivery.concurrency", taken)
	c.require(w.Delivery.RateLimit == 0, "delivery.rateLimit", taken)
}

func (c *checker) retry(path string, retry Retry) {
	if retry.Name != "" {
		if _, known := namedSchedules[retry.Name]; !known {
			c.fail(path, "%q is not one of none, one, three, standard", retry.Name)
		}
		c.require(len(retry.Custom) == 0, path, "it has a name and a schedule of its own")
		return
	}
	c.require(len(retry.Custom) <= MaxRetries, path+".schedule", "there are more than %d", MaxRetries)
	for i, wait := range retry.Custom {
		c.require(MinRetryWait <= wait && wait <= MaxRetryWait, fmt.Sprintf("%s.schedule[%d]", path, i),
			"%v is not between %v and %v", wait, MinRetryWait, MaxRetryWait)
	}
}

func (c *checker) failureHandling(path string, f FailureHandling) {
	choice(c, path+".mode", f.Mode, FailureNone, FailureDivert, FailureSuspend)
	choice(c, path+".otherwise", f.Otherwise, FailureDivert, FailureNone)
	for i, code := range f.ActOnStatusCodes {
		c.require(isStatusCode(code), fmt.Sprintf("%s.actOnStatusCodes[%d]", path, i),
			"%q is neither a status code such as \"503\" nor a class such as \"4xx\"", code)
	}
}

// isStatusCode accepts the codes that an attempt can fail with, and their classes.
func isStatusCode(code string) bool {
	if len(code) != 3 {
		return false
	}
	if code[1:] == "xx" {
		return '1' <= code[0] && code[0] <= '5'
	}
	return '1' <= code[0] && code[0] <= '5' && '0' <= code[1] && code[1] <= '9' && '0' <= code[2] && code[2] <= '9'
}

func (c *checker) overrides(w *Webhook) {
	c.require(len(w.Overrides) <= MaxOverrides, "overrides", "there are more than %d", MaxOverrides)
	offices := map[string]bool{}
	for i := range w.Overrides {
		o, path := &w.Overrides[i], fmt.Sprintf("overrides[%d]", i)
		switch {
		case o.Office == "":
			c.fail(path+".office", "it is empty")
		case offices[o.Office]:
			c.fail(path+".office", "%q has an override already", o.Office)
		}
		offices[o.Office] = true
		c.text(path+".office", o.Office, MaxOfficeLength)
		if o.URL != "" {
			c.url(path+".url", o.URL)
		}
		if o.Auth != nil {
			c.auth(path+".auth", o.Auth)
		}
		c.headers(path+".headers", o.Headers)
	}
}
