package catalog

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxURLLength bounds the URL of an endpoint, in bytes.
const MaxURLLength = 2048

// URLReason says why a URL is refused.
type URLReason string

// The reasons, in words that can be shown to whoever wrote the URL.
const (
	URLEmpty       URLReason = "it is empty"
	URLTooLong     URLReason = "it is longer than 2048 bytes"
	URLSyntax      URLReason = "it is not an absolute URL such as https://example.com/hook"
	URLCharacter   URLReason = "it has a space, a control character or a backslash"
	URLNonASCII    URLReason = "it has non-ASCII characters: write the host in punycode and percent-encode the rest"
	URLScheme      URLReason = "its scheme is not https"
	URLSchemeHTTP  URLReason = "http:// is not allowed here: use https, or start the relay with RELAY_ALLOW_HTTP"
	URLUserinfo    URLReason = "it has a user name or password: put credentials into auth"
	URLFragment    URLReason = "it has a fragment, which HTTP does not send"
	URLHost        URLReason = "its host is not a DNS name or an IP address"
	URLNumericHost URLReason = "its host ends in a number and is not a plain IPv4 address"
	URLLocalName   URLReason = "its host names this machine or its cloud's metadata service"
	URLPort        URLReason = "its port is not a number from 1 to 65535"
	URLDeniedPort  URLReason = "its port belongs to another protocol"
	URLBlocked     URLReason = "its address is not a public one"
)

// URLError is the answer to a URL that the policy refuses. It does not repeat the URL, which may hold credentials.
type URLError struct {
	Reason URLReason
	// Err is the *BlockedError where the reason is URLBlocked.
	Err error
}

// Error implements error.
func (e *URLError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("URL refused: %s: %v", e.Reason, e.Err)
	}
	return "URL refused: " + string(e.Reason)
}

// Unwrap gives the *BlockedError, if any.
func (e *URLError) Unwrap() error { return e.Err }

// Ports below 1024 other than these two belong to other protocols; so do those listed in deniedPorts, of services
// that an HTTP request could do harm to.
const (
	portHTTP            = 80
	portHTTPS           = 443
	firstUnassignedPort = 1024
)

var deniedPorts = map[uint16]bool{
	2375: true, 2376: true, 2379: true, 2380: true, // Docker, etcd
	3306: true, 5432: true, 6379: true, 11211: true, 27017: true, // MySQL, PostgreSQL, Redis, memcached, MongoDB
	6443: true, 8500: true, 9092: true, 9200: true, 10250: true, // Kubernetes, Consul, Kafka, Elasticsearch, kubelet
}

// CheckURL parses the URL of an endpoint, or says why it is refused with a *URLError. It is strict where parsers
// are known to differ, so that what was checked here is what any client connects to. The scheme of the result is
// in lower case. Names are not resolved: CheckAddr has the last word when dialling.
func (e Egress) CheckURL(raw string) (*url.URL, error) {
	if reason := checkURLText(raw); reason != "" {
		return nil, &URLError{Reason: reason}
	}
	authority, reason := authorityOf(raw)
	if reason != "" {
		return nil, &URLError{Reason: reason}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Host != authority {
		return nil, &URLError{Reason: URLSyntax} // the parse error quotes the URL
	}
	switch u.Scheme {
	case "https":
	case "http":
		if !e.AllowHTTP {
			return nil, &URLError{Reason: URLSchemeHTTP}
		}
	default:
		return nil, &URLError{Reason: URLScheme}
	}
	literal, err := e.checkHost(authority, u.Hostname())
	if err != nil {
		return nil, err
	}
	// A port of another protocol is fine where the operator allowed that very network.
	trusted := literal.IsValid() && e.allows(literal.Unmap()) || isLocalhost(u.Hostname()) && e.allowsLoopback()
	if reason := checkPort(authority, u.Port(), trusted); reason != "" {
		return nil, &URLError{Reason: reason}
	}
	return u, nil
}

func checkURLText(raw string) URLReason {
	switch {
	case raw == "":
		return URLEmpty
	case len(raw) > MaxURLLength:
		return URLTooLong
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case c <= ' ' || c == 0x7f || c == '\\':
			return URLCharacter
		case c >= 0x80:
			return URLNonASCII
		case c == '#':
			return URLFragment
		}
	}
	return ""
}

// authorityOf cuts host and port out of a URL by the grammar of RFC 3986, independently of the parser used after.
func authorityOf(raw string) (string, URLReason) {
	_, rest, found := strings.Cut(raw, "://")
	if !found {
		return "", URLSyntax
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	switch {
	case strings.Contains(authority, "@"):
		return "", URLUserinfo
	case strings.Contains(authority, "%"):
		return "", URLHost
	case authority == "":
		return "", URLHost
	}
	return authority, ""
}

// checkHost gives the address when the host is an IP literal, and the zero Addr when it is a name.
func (e Egress) checkHost(authority, host string) (netip.Addr, error) {
	if strings.HasPrefix(authority, "[") {
		a, err := netip.ParseAddr(host)
		if err != nil || !a.Is6() || a.Zone() != "" {
			return netip.Addr{}, &URLError{Reason: URLHost}
		}
		return a, e.checkLiteral(a)
	}
	name := strings.TrimSuffix(host, ".")
	if !isDNSName(name) {
		return netip.Addr{}, &URLError{Reason: URLHost}
	}
	if endsInNumber(name) {
		// netip refuses leading zeros, hexadecimal and fewer than four parts; libc and browsers do not.
		a, err := netip.ParseAddr(host)
		if err != nil {
			return netip.Addr{}, &URLError{Reason: URLNumericHost}
		}
		return a, e.checkLiteral(a)
	}
	if isLocalhost(name) && !e.allowsLoopback() || isMetadataName(name) && !e.allows(metadataAddr) {
		return netip.Addr{}, &URLError{Reason: URLLocalName}
	}
	return netip.Addr{}, nil
}

func (e Egress) checkLiteral(a netip.Addr) error {
	if err := e.CheckAddr(a); err != nil {
		return &URLError{Reason: URLBlocked, Err: err}
	}
	return nil
}

// isDNSName accepts letters, digits, hyphens and, for names in private networks, underscores.
func isDNSName(name string) bool {
	const maxName, maxLabel = 253, 63 // bytes, RFC 1035
	if len(name) > maxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return false
		}
		for i := range len(label) {
			c := label[i]
			alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
			if !alphanumeric && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// endsInNumber is the WHATWG rule: a host whose last label is a decimal or hexadecimal number is an IPv4 address to
// some resolver ("2130706433", "0x7f.1", "127.1").
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if isHex, digits := cutHexPrefix(last); isHex {
		return strings.Trim(digits, "0123456789abcdefABCDEF") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

func cutHexPrefix(s string) (bool, string) {
	if len(s) >= 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		return true, s[2:]
	}
	return false, s
}

func isLocalhost(name string) bool {
	lower := strings.ToLower(strings.TrimSuffix(name, "."))
	return lower == "localhost" || strings.HasSuffix(lower, ".localhost")
}

// metadataAddr is where the clouds' metadata services answer.
var metadataAddr = netip.AddrFrom4([4]byte{169, 254, 169, 254})

func isMetadataName(name string) bool {
	return strings.EqualFold(name, "metadata.google.internal") || strings.EqualFold(name, "metadata")
}

func checkPort(authority, port string, trusted bool) URLReason {
	if port == "" {
		if strings.HasSuffix(authority, ":") {
			return URLPort
		}
		return ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' {
		return URLPort
	}
	if trusted || n == portHTTP || n == portHTTPS {
		return ""
	}
	if n < firstUnassignedPort || deniedPorts[uint16(n)] {
		return URLDeniedPort
	}
	return ""
}
