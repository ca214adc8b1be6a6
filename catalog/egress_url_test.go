package catalog

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckURLAllows(t *testing.T) {
	for _, raw := range []string{
		"https://example.com", "https://example.com/hook?a=b&c=%20", "HTTPS://Example.com/", "https://example.com./",
		"https://example.com:443/", "https://example.com:8443/", "https://example.com:8080/", "https://example.com:65535/",
		"https://xn--bcher-kva.example/", "https://a_b.example/", "https://1.example/", "https://8.8.8.8/",
		"https://[2606:4700:4700::1111]:8443/", "https://example.com?x=a@b", "https://example.com/@127.0.0.1/%2f",
		"https://notlocalhost/", "https://localhost.example.com/", "https://a1/",
	} {
		u, err := Egress{}.CheckURL(raw)
		require.NoError(t, err, raw)
		require.Equal(t, "https", u.Scheme)
	}
	u, err := Egress{AllowHTTP: true}.CheckURL("HTTP://example.com/")
	require.NoError(t, err)
	require.Equal(t, "http", u.Scheme)
}

func TestCheckURLRefuses(t *testing.T) {
	for _, tt := range []struct {
		reason URLReason
		urls   []string
	}{
		{URLEmpty, []string{""}},
		{URLTooLong, []string{"https://example.com/" + strings.Repeat("a", MaxURLLength)}},
		{URLBlocked, []string{ // loopback, zero, metadata, private, unique local, link-local
			"http://127.0.0.1/", "http://127.255.255.255", "http://[::1]/", "http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:1]",
			"http://[::7f00:1]", "http://[::ffff:0:7f00:1]", "http://[::5efe:7f00:1]", "http://0.0.0.0", "http://[::]", "http://0.1.2.3",
			"http://169.254.169.254/latest/meta-data", "http://[fd00:ec2::254]", "http://[fd20:ce::254]", "http://100.100.100.200",
			"http://168.63.129.16", "http://192.0.0.192", "http://[64:ff9b::a9fe:a9fe]", "http://[2002:a9fe:a9fe::1]",
			"http://[::ffff:169.254.169.254]", "http://10.0.0.1", "http://172.16.0.1", "http://172.31.255.255",
			"http://192.168.0.1", "http://[fc00::1]", "http://[fd12::1]", "http://[fe80::1]", "http://[fec0::1]",
			"http://[64:ff9b::8.8.8.8]",
		}},
		{URLLocalName, []string{
			"http://localhost", "http://LOCALHOST", "http://localhost./", "http://foo.localhost:8080", "http://foo.LocalHost./",
			"http://metadata.google.internal/computeMetadata/v1", "http://Metadata.Google.Internal.", "http://metadata/",
		}},
		{URLNumericHost, []string{
			"http://2130706433", "http://0x7f000001", "http://0x7f.0.0.1", "http://0177.0.0.1", "http://127.1", "http://0",
			"http://127.0.1", "http://127.0.0.1.", "http://1.2.3.4.5", "http://example.123", "http://example.0x1f", "http://0X7F000001",
			"http://a.0x", "http://256.256.256.256", "http://08.8.8.8",
		}},
		{URLNonASCII, []string{
			"http://①②⑦.⓪.⓪.①", "http://127。0。0。1", "http://ｅxample.com", "http://bücher.example", "http://example.com/ü",
			"http://example.com\u00ad/", "http://example.com\xff/",
		}},
		{URLUserinfo, []string{
			"http://example.com@127.0.0.1/", "http://example.com:80@127.0.0.1:22/", "http://127.0.0.1%2f@x/", "http://u:p@h/",
			"http://@example.com/", "https://user@example.com", "http://a@b@c/",
		}},
		{URLCharacter, []string{
			"http://127.0.0.1\\@example.com/", "http://a.b\r\nHost: x/", "http://example.com/\x00", "http://exa mple.com/",
			" http://example.com", "http://example.com/\t", "http://example.com/\x7f", "http:\\\\example.com",
		}},
		{URLFragment, []string{"http://127.0.0.1#@example.com/", "http://example.com/#x", "http://example.com#"}},
		{URLHost, []string{
			"http:///p", "http://?x", "http://h%00x/", "http://%31%32%37.0.0.1/", "http://[fe80::1%25eth0]/",
			"http://.example.com/", "http://a..b/", "http://*.example.com/", "http://exa$mple.com/",
			"http://" + strings.Repeat("a", 64) + ".com/", "http://" + strings.Repeat("a.", 127) + "com/", "http://./",
		}},
		{URLSyntax, []string{
			"http:127.0.0.1", "//127.0.0.1/", "/hook", "example.com", "http", "http:/example.com", "://example.com/",
			"http://[]/", "http://[::1/", "http://::1/", "http://[::1]x/", "http://example.com:port/", "mailto:a@example.com", "1http://example.com/",
			"http://example.com:-1/",
		}},
		{URLScheme, []string{
			"file://example.com/etc/passwd", "gopher://example.com", "ftp://example.com", "unix://example.com", "ldap://example.com",
			"ws://example.com", "wss://example.com", "jar://example.com",
		}},
		{URLPort, []string{"http://example.com:0/", "http://example.com:99999/", "http://example.com:65536", "http://example.com:", "http://example.com:0443/"}},
		{URLDeniedPort, []string{
			"http://example.com:22", "http://example.com:23", "http://example.com:25", "http://example.com:53", "http://example.com:110",
			"http://example.com:143", "http://example.com:389", "http://example.com:465", "http://example.com:587", "http://example.com:993",
			"http://example.com:2375", "http://example.com:2379", "http://example.com:3306", "http://example.com:5432",
			"http://example.com:6379", "http://example.com:6443", "http://example.com:8500", "http://example.com:9092",
			"http://example.com:9200", "http://example.com:11211", "http://example.com:27017", "http://8.8.8.8:1",
		}},
	} {
		for _, raw := range tt.urls {
			t.Run(raw, func(t *testing.T) {
				_, err := Egress{AllowHTTP: true}.CheckURL(raw)
				var refused *URLError
				require.ErrorAs(t, err, &refused)
				require.Equal(t, tt.reason, refused.Reason)
			})
		}
	}
}

func TestCheckURLRefusesBracketedIPv4(t *testing.T) {
	_, err := Egress{AllowHTTP: true, AllowNetworks: prefixes("127.0.0.0/8")}.CheckURL("http://[127.0.0.1]/")
	require.Error(t, err)
}

func TestCheckURLSchemeHTTP(t *testing.T) {
	_, err := Egress{}.CheckURL("http://example.com/")
	var refused *URLError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, URLSchemeHTTP, refused.Reason)
}

func TestCheckURLInAllowedNetworks(t *testing.T) {
	e := Egress{AllowHTTP: true, AllowNetworks: prefixes("127.0.0.0/8", "10.1.0.0/16")}
	for _, raw := range []string{
		"http://127.0.0.1:9092/", "http://localhost:6379/", "http://foo.localhost.:80/", "http://10.1.0.1:22/",
		"http://[::ffff:10.1.0.1]:22/",
	} {
		_, err := e.CheckURL(raw)
		require.NoError(t, err, raw)
	}
	for _, raw := range []string{
		"http://10.2.0.1/", "http://8.8.8.8:22/", "http://redis:6379/", "http://127.1/", "http://metadata.google.internal/",
		"http://u:p@127.0.0.1/", "http://127.0.0.1:0/",
	} {
		_, err := e.CheckURL(raw)
		require.Error(t, err, raw)
	}
}

func TestURLErrorSaysWhyAndHidesTheURL(t *testing.T) {
	_, err := Egress{}.CheckURL("https://u:hunter2@example.com/")
	require.NotContains(t, err.Error(), "hunter2")
	_, err = Egress{}.CheckURL("https://10.0.0.1/token/hunter2")
	require.NotContains(t, err.Error(), "hunter2")
	var blocked *BlockedError
	require.ErrorAs(t, err, &blocked, "the reason is found through the URL error")
	require.Equal(t, netip.MustParseAddr("10.0.0.1"), blocked.Addr)
}

func FuzzCheckURL(f *testing.F) {
	for _, raw := range []string{
		"https://example.com/", "http://[::ffff:127.0.0.1]:80/", "http://127.1/", "http://a@b/", "http://[fe80::1%25eth0]/",
		"http://0x7f.1:99999", "http:///", "https://localhost.", "http://127.0.0.1\\@x/",
	} {
		f.Add(raw)
	}
	e := Egress{AllowHTTP: true, NAT64: true}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := e.CheckURL(raw)
		if err != nil {
			var refused *URLError
			require.True(t, errors.As(err, &refused), "the error is a *URLError")
			return
		}
		require.Nil(t, u.User)
		require.NotEmpty(t, u.Hostname())
		require.Contains(t, []string{"http", "https"}, u.Scheme)
		if a, err := netip.ParseAddr(strings.TrimSuffix(u.Hostname(), ".")); err == nil {
			require.NoError(t, e.CheckAddr(a), "an accepted literal passes at dial")
		}
		again, err := e.CheckURL(u.String())
		require.NoError(t, err, "what was accepted is accepted as printed")
		require.Equal(t, u.Host, again.Host)
	})
}
