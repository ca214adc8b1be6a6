package catalog

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValidate_Version(t *testing.T) {
	versions := FormatVersions(FormatOphelos)
	require.NotEmpty(t, versions)
	require.Empty(t, FormatVersions(FormatStandard))
	for _, tc := range []struct {
		format  Format
		version string
		message string
	}{
		{FormatOphelos, "", ""},
		{FormatOphelos, versions[0], ""},
		{FormatOphelos, "2019-01-01", `"2019-01-01" is not one of ` + versions[0]},
		{FormatStandard, "", ""},
		{FormatStandard, versions[0], "format standard has no versions"},
	} {
		w := NewWebhook()
		w.ID, w.URL, w.Format, w.Version = "a", "https://example.com/", tc.format, tc.version
		w.Signing.Secrets = []SigningSecret{{Value: NewSecret("k")}}
		w.Normalize()
		_, err := w.Validate(Rules{})
		if tc.message == "" {
			require.NoError(t, err)
			continue
		}
		var invalid *ValidationError
		require.True(t, errors.As(err, &invalid))
		require.Equal(t, []FieldError{{"version", tc.message}}, invalid.Fields)
	}
}
