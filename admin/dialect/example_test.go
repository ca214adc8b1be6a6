package dialect_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"eventrelay/admin"
	"eventrelay/admin/dialect"
	"eventrelay/catalog"
)

// A platform whose API has one call. The server checks key and scope, and gives errors the platform's form.
func ExampleDialect() {
	greet := func(_ context.Context, c *dialect.Call) (dialect.Reply, error) {
		sent, err := c.Object()
		if err != nil {
			return dialect.Reply{}, err
		}
		sent.Require("name")
		name, _ := sent.Text("name")
		if err := sent.Err(); err != nil {
			return dialect.Reply{}, err
		}
		return dialect.Reply{Body: map[string]string{"greeting": "Hello " + name + ", " + c.Params["office"]}}, nil
	}
	polite := dialect.Dialect{Platform: "polite", Routes: []dialect.Route{
		{Method: http.MethodPost, Path: "/offices/{office}", Scope: dialect.WebhooksWrite, Handle: greet},
	}}
	server := admin.New(admin.Options{Dialects: []dialect.Dialect{polite}, BootstrapKey: catalog.NewSecret("a-key-of-the-operator")})

	for _, body := range []string{`{"name": "Ada"}`, `{"name": 7}`, `Ada`} {
		r := httptest.NewRequest(http.MethodPost, "/polite/offices/north", strings.NewReader(body))
		r.SetBasicAuth("any", "a-key-of-the-operator")
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		server.Handler().ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 {"greeting":"Hello Ada, north"}
	// 422 {"error":"name: it is not a string"}
	// 400 {"error":"The body is not JSON: at byte 1: not valid JSON"}
}
