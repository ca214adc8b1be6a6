package deliver

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
)

func TestScrub(t *testing.T) {
	basic := catalog.Endpoint{Auth: catalog.Auth{Type: catalog.AuthBasic, Username: "u", Password: catalog.NewSecret("open sesame")},
		Signing: catalog.Signing{Secrets: []catalog.SigningSecret{{Value: catalog.NewSecret("donut-token")}, {Value: catalog.NewSecret("short")}}}}
	tgt := compileTarget(&catalog.Webhook{UID: "wh_1", URL: "https://example.com/", Format: catalog.FormatRaw, Auth: basic.Auth, Signing: basic.Signing}, nil, "", nil)
	require.NoError(t, tgt.err)
	require.Equal(t, []string{"dTpvcGVuIHNlc2FtZQ==", "open sesame", "donut-token", "short"}, tgt.secrets)

	for _, tc := range []struct{ name, body, want string }{
		{"nothing", "ok", "ok"},
		{"empty", "", ""},
		{"header", `{"authorization":"Basic dTpvcGVuIHNlc2FtZQ=="}`, `{"authorization":"Basic redacted"}`},
		{"several", "donut-token, open sesame, donut-token", "redacted, redacted, redacted"},
		{"cut off at the end of what is kept", strings.Repeat("x", outbound.KeptBodyBytes-9) + "open sesa", strings.Repeat("x", outbound.KeptBodyBytes-9) + "redacted"},
		{"a part in a short answer is chance", "open sesa", "open sesa"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := outbound.Result{Status: 200, Body: []byte(tc.body)}
			scrub(&res, tgt.secrets)
			require.Equal(t, tc.want, string(res.Body))
		})
	}
	res := outbound.Result{Err: errors.New("bad response: \"open sesame\"")}
	scrub(&res, tgt.secrets)
	require.EqualError(t, res.Err, `bad response: "redacted"`)
}
