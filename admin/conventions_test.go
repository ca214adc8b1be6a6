package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What holds for every route of its kind, so that a new one is not forgotten: an edit honours If-Match, what it answers
// carries an ETag, and whatever makes something may be repeated under an Idempotency-Key.
func TestRoutes_KeepTheConventions(t *testing.T) {
	a := newAPI(t)
	var document object
	require.NoError(t, json.Unmarshal(a.do(http.MethodGet, "/openapi.json", "").is(http.StatusOK).body, &document))
	edits, creations, merges := 0, 0, 0
	for _, r := range routes {
		op, ok := a.server.document.Operation(r.method, r.path)
		require.True(t, ok)
		headers := map[string]bool{}
		for _, p := range op.Parameters {
			if p.In == "header" {
				headers[p.Name] = true
			}
		}
		described := at(t, document, "paths", r.path, strings.ToLower(r.method)).(object)
		responses := described["responses"].(object)
		_, created := responses["201"]
		_, accepted := responses["202"]
		switch r.method {
		case http.MethodPut, http.MethodPatch:
			edits++
			require.True(t, headers["If-Match"], "%s %s", r.method, r.path)
			named := strings.TrimPrefix(at(t, responses, "200", "$ref").(string), "#/components/responses/")
			require.Contains(t, at(t, document, "components", "responses", named, "headers"), "ETag", "%s %s", r.method, r.path)
		case http.MethodPost:
			if created || accepted {
				creations++
				require.True(t, headers["Idempotency-Key"], "%s %s", r.method, r.path)
			}
		}
		if r.method == http.MethodPatch {
			merges++
			require.Contains(t, at(t, described, "requestBody", "content"), "application/merge-patch+json", r.path)
		}
	}
	require.Equal(t, []int{3, 5, 1}, []int{edits, creations, merges}, "PUT and PATCH, POST that makes something, PATCH")
}
