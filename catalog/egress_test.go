package catalog

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func prefixes(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, text := range texts {
		ps = append(ps, netip.MustParsePrefix(text))
	}
	return ps
}

func TestCheckAddrBlocks(t *testing.T) {
	for text, reason := range map[string]BlockReason{
		"127.0.0.1":              BlockLoopback,
		"127.255.255.255":        BlockLoopback,
		"::1":                    BlockLoopback,
		"::ffff:127.0.0.1":       BlockLoopback,
		"::ffff:7f00:1":          BlockLoopback,
		"::7f00:1":               BlockTransition, // IPv4-compatible
		"::ffff:0:7f00:1":        BlockTransition, // SIIT
		"::5efe:7f00:1":          BlockTransition, // ISATAP
		"0.0.0.0":                BlockUnspecified,
		"0.1.2.3":                BlockUnspecified,
		"::":                     BlockUnspecified,
		"169.254.169.254":        BlockLinkLocal,
		"::ffff:169.254.169.254": BlockLinkLocal,
		"fd00:ec2::254":          BlockPrivate,
		"fd20:ce::254":           BlockPrivate,
		"100.100.100.200":        BlockShared,
		"168.63.129.16":          BlockMetadata,
		"192.0.0.192":            BlockReserved,
		"64:ff9b::a9fe:a9fe":     BlockTransition,
		"2002:a9fe:a9fe::1":      BlockTransition,
		"10.0.0.1":               BlockPrivate,
		"172.16.0.1":             BlockPrivate,
		"172.31.255.255":         BlockPrivate,
		"192.168.0.1":            BlockPrivate,
		"100.64.0.0":             BlockShared,
		"100.127.255.255":        BlockShared,
		"fc00::1":                BlockPrivate,
		"fd12::1":                BlockPrivate,
		"fe80::1":                BlockLinkLocal,
		"fe80::1%eth0":           BlockZone,
		"2606:4700:4700::1111%1": BlockZone,
		"fec0::1":                BlockPrivate,
		"192.0.2.1":              BlockDocumentation,
		"192.31.196.1":           BlockReserved,
		"192.52.193.1":           BlockReserved,
		"192.88.99.1":            BlockTransition,
		"192.175.48.1":           BlockReserved,
		"198.18.0.0":             BlockBenchmark,
		"198.19.255.255":         BlockBenchmark,
		"198.51.100.7":           BlockDocumentation,
		"203.0.113.7":            BlockDocumentation,
		"224.0.0.1":              BlockMulticast,
		"239.255.255.250":        BlockMulticast,
		"240.0.0.1":              BlockReserved,
		"255.255.255.255":        BlockReserved,
		"64:ff9b::8.8.8.8":       BlockTransition,
		"64:ff9b:0:1::1":         BlockTransition,
		"64:ff9b:1::1":           BlockTransition,
		"100::1":                 BlockReserved,
		"100:0:0:1::1":           BlockNotGlobal,
		"2001::1":                BlockReserved, // Teredo
		"2001:2::1":              BlockReserved,
		"2001:1ff:ffff::1":       BlockReserved,
		"2001:db8::1":            BlockDocumentation,
		"2620:4f:8000::1":        BlockReserved,
		"3fff::1":                BlockDocumentation,
		"3fff:fff:ffff::1":       BlockDocumentation,
		"5f00::1":                BlockNotGlobal,
		"4000::1":                BlockNotGlobal,
		"1fff:ffff::1":           BlockNotGlobal,
		"ff02::1":                BlockMulticast,
	} {
		t.Run(text, func(t *testing.T) {
			err := Egress{}.CheckAddr(netip.MustParseAddr(text))
			var blocked *BlockedError
			require.ErrorAs(t, err, &blocked)
			require.Equal(t, reason, blocked.Reason)
		})
	}
	var blocked *BlockedError
	require.ErrorAs(t, Egress{}.CheckAddr(netip.Addr{}), &blocked)
	require.Equal(t, BlockInvalid, blocked.Reason)
}

func TestCheckAddrAllowsPublicAddressesBesideTheBlocks(t *testing.T) {
	for _, text := range []string{
		"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
		"192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.1", "192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8",
		"2606:4700:4700::1111", "2001:4860:4860::8888", "2001:200::1", "2001:db7::1", "2001:db9::1", "2003::1",
		"3fff:1000::1", "3ffe::1", "2000::1",
	} {
		require.NoError(t, Egress{}.CheckAddr(netip.MustParseAddr(text)), text)
	}
}

func TestCheckAddrNAT64(t *testing.T) {
	e := Egress{NAT64: true, AllowNetworks: prefixes("10.0.0.0/8")}
	require.NoError(t, e.CheckAddr(netip.MustParseAddr("64:ff9b::8.8.8.8")))
	for _, text := range []string{
		"64:ff9b::7f00:1", "64:ff9b::", "64:ff9b::e000:1", "64:ff9b::a9fe:a9fe", "64:ff9b:0:1::1", "64:ff9b:1::1",
		"64:ff9b::10.0.0.1", // allowed from here is not allowed behind the translator
	} {
		require.Error(t, e.CheckAddr(netip.MustParseAddr(text)), text)
	}
}

func TestAllowNetworksCoverTheirRangeOnly(t *testing.T) {
	e := Egress{AllowNetworks: prefixes("10.1.0.0/16", "127.0.0.0/8", "fd00:1::/32")}
	for _, text := range []string{"10.1.2.3", "127.0.0.1", "::ffff:10.1.2.3", "fd00:1::5", "8.8.8.8"} {
		require.NoError(t, e.CheckAddr(netip.MustParseAddr(text)), text)
	}
	for _, text := range []string{"10.2.0.1", "::1", "fd00:2::1", "192.168.0.1", "fd00:1::5%eth0"} {
		require.Error(t, e.CheckAddr(netip.MustParseAddr(text)), text)
	}
}

func FuzzCheckAddr(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add(netip.MustParseAddr("64:ff9b::7f00:1").AsSlice())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok || (Egress{NAT64: true}).CheckAddr(a) != nil {
			return
		}
		// Whatever is let through is nothing that the standard library knows as local.
		a = a.Unmap()
		require.True(t, a.IsGlobalUnicast(), a)
		require.False(t, a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast(), a)
	})
}

func BenchmarkCheckAddr(b *testing.B) {
	a := netip.MustParseAddr("2606:4700:4700::1111")
	e := Egress{AllowNetworks: prefixes("10.0.0.0/8")}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.CheckAddr(a); err != nil {
			b.Fatal(err)
		}
	}
}
