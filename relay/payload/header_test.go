package payload

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		"evt_01J.a-b~!$&/?#=": "evt_01J.a-b~!$&/?#=",
		"a b":                 "a%20b",
		"50%":                 "50%25",
		"\r\nx: 1\x00\x7f\t":  "%0D%0Ax:%201%00%7F%09",
		"ü€😀":                 "%C3%BC%E2%82%AC%F0%9F%98%80",
		"\xff\xfe":            "%FF%FE",
	} {
		require.Equal(t, want, escape(in, &visible))
	}
	require.Equal(t, `"q"`, escape(`"q"`, &visible))
	// The example of the CloudEvents HTTP binding, section 3.1.3.2.
	require.Equal(t, "Euro%20%E2%82%AC%20%F0%9F%98%80", escape("Euro € 😀", &cloudEventsSafe))
	require.Equal(t, "%22q%22", escape(`"q"`, &cloudEventsSafe))
}

func FuzzEscape(f *testing.F) {
	for _, seed := range []string{"", "evt_1", "a b", "%41", "\r\n", "ü", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, set := range []*byteSet{&visible, &cloudEventsSafe} {
			escaped := escape(s, set)
			for i := range len(escaped) {
				require.True(t, escaped[i] == '%' || set[escaped[i]])
			}
			back, err := url.PathUnescape(escaped)
			require.NoError(t, err)
			require.Equal(t, s, back)
		}
	})
}

func TestTraceContext_PassedOnOnlyWhenItIsOne(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	e := compile(t, catalog.FormatStandard, catalog.Signing{})
	for name, tc := range map[string]struct{ parent, state, wantParent, wantState string }{
		"both":                {parent, "a=1,b=2", parent, "a=1,b=2"},
		"later version":       {"cc" + parent[2:] + "-00", "", "cc" + parent[2:] + "-00", ""},
		"none":                {"", "", "", ""},
		"state alone":         {"", "a=1", "", ""},
		"upper case":          {strings.ToUpper(parent), "a=1", "", ""},
		"too short":           {parent[:54], "", "", ""},
		"breaks a line":       {parent[:53] + "\r\n", "a=1", "", ""},
		"endless":             {parent + strings.Repeat("0", 100), "", "", ""},
		"state breaks a line": {parent, "a=1\r\nx: 1", parent, ""},
		"state too long":      {parent, strings.Repeat("a", 513), parent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ev := event(`{}`)
			ev.TraceParent, ev.TraceState = tc.parent, tc.state
			h := compose(t, e, delivery(ev)).received()
			require.Equal(t, tc.wantParent, h.Get(headerTraceParent))
			require.Equal(t, tc.wantState, h.Get(headerTraceState))
		})
	}
}

func TestContentType(t *testing.T) {
	for in, want := range map[string]string{
		"":                          mediaJSON,
		" ":                         mediaJSON,
		"text/plain; charset=utf-8": "text/plain; charset=utf-8",
		" text/xml\t":               "text/xml",
		"text/plain\r\nx: 1":        mediaOctets,
		"text/ü":                    mediaOctets,
	} {
		require.Equal(t, want, contentType(&catalog.Event{DataContentType: in}), "%q", in)
	}
}
