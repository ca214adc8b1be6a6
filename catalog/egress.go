package catalog

import (
	"fmt"
	"net/netip"
)

// Egress says where the relay may connect to on behalf of a webhook. Everything that is not public unicast is
// denied, whole blocks at a time and never by enumerating spellings, unless the operator allowed the range.
//
// CheckURL is asked when a webhook is registered; CheckAddr there for literals, and again for the concrete address
// of every dial: a name that was harmless when registered may resolve to something else by then. It is a value and
// safe for concurrent use.
type Egress struct {
	// AllowNetworks may be reached besides public addresses.
	AllowNetworks []netip.Prefix
	// AllowHTTP permits http:// URLs.
	AllowHTTP bool
	// NAT64 permits 64:ff9b::/96 where the IPv4 address inside is a public one: for networks that reach IPv4 so.
	NAT64 bool
	// AllowInsecureTLS permits webhooks that do not verify the receiver's certificate.
	AllowInsecureTLS bool
}

// BlockReason says why an address is denied. Its texts are a bounded set, fit for metric labels.
type BlockReason string

// The reasons.
const (
	BlockInvalid       BlockReason = "invalid"       // not an address
	BlockZone          BlockReason = "zone"          // an IPv6 zone names a local interface
	BlockUnspecified   BlockReason = "unspecified"   // 0.0.0.0/8, ::
	BlockLoopback      BlockReason = "loopback"      // this machine
	BlockPrivate       BlockReason = "private"       // private and unique local networks
	BlockShared        BlockReason = "shared"        // carrier-grade NAT, and cloud services inside it
	BlockLinkLocal     BlockReason = "link_local"    // this link, and cloud metadata services
	BlockMetadata      BlockReason = "metadata"      // cloud host services on public addresses
	BlockMulticast     BlockReason = "multicast"     //
	BlockDocumentation BlockReason = "documentation" // examples only
	BlockBenchmark     BlockReason = "benchmark"     // test networks
	BlockReserved      BlockReason = "reserved"      // assigned to protocols, or to nobody
	BlockTransition    BlockReason = "transition"    // IPv6 that carries an IPv4 address
	BlockNotGlobal     BlockReason = "not_global"    // IPv6 outside 2000::/3
)

// BlockedError is the answer to an address that the policy denies.
type BlockedError struct {
	Addr   netip.Addr
	Reason BlockReason
}

// Error implements error.
func (e *BlockedError) Error() string {
	return fmt.Sprintf("address %s is blocked (%s)", e.Addr, e.Reason)
}

type block struct {
	prefix netip.Prefix
	reason BlockReason
}

func blockOf(prefix string, reason BlockReason) block {
	return block{netip.MustParsePrefix(prefix), reason}
}

// blocks4 are the parts of IPv4 that are not public unicast: the IANA special-purpose registry, multicast, class E,
// and one public address that clouds answer on from inside.
var blocks4 = []block{
	blockOf("0.0.0.0/8", BlockUnspecified), // Linux connects 0.0.0.0 to itself
	blockOf("10.0.0.0/8", BlockPrivate),
	blockOf("100.64.0.0/10", BlockShared),
	blockOf("127.0.0.0/8", BlockLoopback),
	blockOf("169.254.0.0/16", BlockLinkLocal),
	blockOf("172.16.0.0/12", BlockPrivate),
	blockOf("192.0.0.0/24", BlockReserved),
	blockOf("192.0.2.0/24", BlockDocumentation),
	blockOf("192.31.196.0/24", BlockReserved),
	blockOf("192.52.193.0/24", BlockReserved),
	blockOf("192.88.99.0/24", BlockTransition), // 6to4 relays
	blockOf("192.168.0.0/16", BlockPrivate),
	blockOf("192.175.48.0/24", BlockReserved),
	blockOf("198.18.0.0/15", BlockBenchmark),
	blockOf("198.51.100.0/24", BlockDocumentation),
	blockOf("203.0.113.0/24", BlockDocumentation),
	blockOf("224.0.0.0/4", BlockMulticast),
	blockOf("240.0.0.0/4", BlockReserved),      // limited broadcast included
	blockOf("168.63.129.16/32", BlockMetadata), // Azure's wire server
}

// blocks6 are the denied parts of 2000::/3. What follows after it only names the reason for well-known blocks
// outside, which are denied in any case.
var blocks6 = []block{
	blockOf("2001::/23", BlockReserved), // Teredo, ORCHID, benchmarking
	blockOf("2001:db8::/32", BlockDocumentation),
	blockOf("2002::/16", BlockTransition), // 6to4
	blockOf("2620:4f:8000::/48", BlockReserved),
	blockOf("3fff::/20", BlockDocumentation),

	blockOf("::1/128", BlockLoopback),
	blockOf("::/128", BlockUnspecified),
	blockOf("::/8", BlockTransition), // IPv4-compatible, SIIT, ISATAP
	blockOf("64:ff9b::/32", BlockTransition),
	blockOf("100::/64", BlockReserved), // discard-only
	blockOf("fc00::/7", BlockPrivate),
	blockOf("fe80::/10", BlockLinkLocal),
	blockOf("fec0::/10", BlockPrivate),
	blockOf("ff00::/8", BlockMulticast),
}

var (
	globalUnicast6 = netip.MustParsePrefix("2000::/3")
	nat64Prefix    = netip.MustParsePrefix("64:ff9b::/96")
)

// CheckAddr says whether the relay may connect to an address; the error is a *BlockedError.
func (e Egress) CheckAddr(a netip.Addr) error {
	if !a.IsValid() {
		return &BlockedError{a, BlockInvalid}
	}
	if a.Zone() != "" {
		return &BlockedError{a, BlockZone}
	}
	a = a.Unmap() // ::ffff:127.0.0.1 is 127.0.0.1 to the kernel
	if e.allows(a) {
		return nil
	}
	if a.Is4() {
		return blockedBy(blocks4, a)
	}
	if e.NAT64 && nat64Prefix.Contains(a) {
		b := a.As16()
		// A translator may reach networks that this machine does not: AllowNetworks is about this machine's.
		return Egress{}.CheckAddr(netip.AddrFrom4([4]byte(b[12:])))
	}
	if err := blockedBy(blocks6, a); err != nil {
		return err
	}
	if !globalUnicast6.Contains(a) {
		return &BlockedError{a, BlockNotGlobal}
	}
	return nil
}

func (e Egress) allows(a netip.Addr) bool {
	for _, prefix := range e.AllowNetworks {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

func (e Egress) allowsLoopback() bool {
	return e.allows(netip.AddrFrom4([4]byte{127, 0, 0, 1})) || e.allows(netip.IPv6Loopback())
}

func blockedBy(blocks []block, a netip.Addr) error {
	for _, b := range blocks {
		if b.prefix.Contains(a) {
			return &BlockedError{a, b.reason}
		}
	}
	return nil
}
