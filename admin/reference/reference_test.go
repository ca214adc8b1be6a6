package reference

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

func document(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../openapi.yaml")
	require.NoError(t, err)
	asJSON, err := yaml.YAMLToJSON(text)
	require.NoError(t, err)
	return asJSON
}

// TestPage_IsWhole: every operation and schema of the API has its place, and every link on the page leads to one.
func TestPage_IsWhole(t *testing.T) {
	text := document(t)
	html, err := Page(text)
	require.NoError(t, err)
	page := string(html)
	for _, id := range regexp.MustCompile(`"operationId":\s*"(\w+)"`).FindAllStringSubmatch(string(text), -1) {
		require.Contains(t, page, `id="op-`+id[1]+`"`)
	}
	links := regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1)
	require.Greater(t, len(links), 50)
	for _, link := range links {
		require.Contains(t, page, `id="`+link[1]+`"`, "a link that leads nowhere")
	}
	require.NotContains(t, page, "<script")
	require.NotContains(t, page, "http://", "nothing is loaded")
}

func TestPage_Escapes(t *testing.T) {
	html, err := Page([]byte(`{"info": {"title": "<b>", "description": "a ` + "`<i>`" + ` **<u>**"}, "paths": {"/x": {"get":
		{"operationId": "x", "summary": "<s>", "responses": {"200": {"description": "<q>"}}}}},
		"components": {"schemas": {"A": {"properties": {"<p>": {"enum": ["<e>"], "default": "<d>"}}}}}}`))
	require.NoError(t, err)
	for _, tag := range []string{"<b>", "<i>", "<u>", "<s>", "<q>", "<e>", "<d>", "<p></code>"} {
		require.NotContains(t, strings.ReplaceAll(string(html), "<p>", ""), tag)
	}
	require.Contains(t, string(html), "<code>&lt;i&gt;</code> <strong>&lt;u&gt;</strong>")
}

func TestPage_RefusesWhatIsNotADocument(t *testing.T) {
	_, err := Page([]byte(`[]`))
	require.ErrorContains(t, err, "openapi document")
}

func TestContentSecurityPolicy(t *testing.T) {
	html, err := Page(document(t))
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(html), "<style>")
	inside, _, _ := strings.Cut(after, "</style>")
	require.Equal(t, style, inside, "the hash of the policy is that of the page's style")
	require.Contains(t, ContentSecurityPolicy(), "default-src 'none'")
}
