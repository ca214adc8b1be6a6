package dialect

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

func TestObject_ReadsMembers(t *testing.T) {
	o, err := (&Call{Body: []byte(`{
		"text": "t", "empty": "", "yes": true, "no": false, "null": null, "n": 1.10, "list": ["a", "b"], "none": [],
		"inner": {"text": "i"}, "objects": [{"text": "0"}, {"text": "1"}]
	}`)}).Object()
	require.NoError(t, err)
	text, ok := o.String("text")
	require.True(t, ok)
	require.Equal(t, "t", text)
	empty, ok := o.String("empty")
	require.True(t, ok)
	require.Empty(t, empty)
	yes, ok := o.Bool("yes")
	require.True(t, yes && ok)
	no, ok := o.Bool("no")
	require.True(t, !no && ok)
	for _, absent := range []string{"null", "nothing", "TEXT"} {
		_, ok = o.String(absent)
		require.False(t, ok || o.Has(absent), absent)
		require.Nil(t, o.Raw(absent))
		require.Equal(t, absent == "null", o.Cleared(absent))
	}
	require.JSONEq(t, "1.10", string(o.Raw("n")))
	list, ok := o.Strings("list")
	require.True(t, ok)
	require.Equal(t, []string{"a", "b"}, list)
	none, ok := o.Strings("none")
	require.True(t, ok)
	require.Empty(t, none)
	inner, ok := o.Object("inner")
	require.True(t, ok)
	text, _ = inner.Text("text")
	require.Equal(t, "i", text)
	objects, ok := o.Objects("objects")
	require.True(t, ok)
	text, _ = objects[1].Text("text")
	require.Equal(t, "1", text)
	require.NoError(t, o.Err())
}

func TestObject_NotesEverythingThatIsWrong(t *testing.T) {
	o, err := (&Call{Body: []byte(`{"a": 1, "b": "x", "c": "", "d": [1], "e": [null], "f": {"g": 2}, "h": [1, {"i": 3}], "j": null}`)}).Object()
	require.NoError(t, err)
	o.String("a")
	o.Bool("b")
	o.Text("c")
	o.Strings("d")
	o.Strings("e")
	f, _ := o.Object("f")
	f.String("g")
	h, _ := o.Objects("h")
	h[1].String("i")
	o.Require("j", "k", "a")
	require.EqualError(t, o.Err(), "422: a: it is not a string; b: it is not true or false; c: it is empty; d: it is not an array of strings; "+
		"e[0]: it is not a string; f.g: it is not a string; h[0]: it is not an object; h[1].i: it is not a string; j: it is required; k: it is required")
	require.NoError(t, o.again().Err(), "nothing is noted of the next reading")
}

func TestInvalid_NamesABoundedNumberOfFields(t *testing.T) {
	fields := make([]catalog.FieldError, 1000)
	for i := range fields {
		fields[i] = catalog.FieldError{Path: "p", Message: "m"}
	}
	refusal := Invalid(fields)
	require.Less(t, len(refusal.Text), 200)
	require.Contains(t, refusal.Text, "; and 980 more")
}

func TestIntQuery(t *testing.T) {
	tests := []struct {
		text string
		n    int
		ok   bool
	}{{"", 7, true}, {"0", 0, true}, {"9", 9, true}, {"-1", 0, false}, {"10", 0, false}, {"1.0", 0, false}, {"x", 0, false}, {" 1", 0, false}}
	for _, tt := range tests {
		n, err := (&Call{Query: map[string][]string{"limit": {tt.text}}}).IntQuery("limit", 7, 0, 9)
		require.Equal(t, tt.ok, err == nil, tt.text)
		require.Equal(t, tt.n, n, tt.text)
	}
}

// Whatever a client sends is refused or makes a webhook that reads the same after it was sent back as it is read.
func FuzzChange(f *testing.F) {
	f.Add([]byte(`{"id":"a","matchingEvents":["*"],"url":"https://example.com","auth":{"type":"Basic","username":"u","password":"p"},"active":false,"perOfficeOverrides":[{"office":"n","url":"https://example.org","auth":{"type":"None"},"active":true}]}`))
	f.Add([]byte(`{"id":"a","url":"https://example.com","enabled":false,"enabled_events":["debt.paid"],"filters":{"data":{"n":1.0}},"version":"2025-04-01","credentials":{"type":"header","name":"X-Key","value":"k"},"metadata":{"a":[1]}}`))
	f.Add([]byte(`{"credentials":{"type":"basic","username":null},"auth":null,"perOfficeOverrides":[null]}`))
	f.Add([]byte(`[{"id":1}`))
	o, p := ocelot{shelf{Services{Registry: noIntegrations{}}, catalog.PlatformOcelot}}, ophelos{shelf{Services{Registry: noIntegrations{}}, catalog.PlatformOphelos}}
	f.Fuzz(func(t *testing.T, body []byte) {
		checkChange(t, o.shelf, body, o.change, func(v registry.View) any { return showOcelot(v) })
		checkChange(t, p.shelf, body, p.change, func(v registry.View) any { return showOphelos(v) })
	})
}

type noIntegrations struct{ Registry }

func (noIntegrations) Integration(string, string) (*catalog.Integration, bool) { return nil, false }

func checkChange(t *testing.T, s shelf, body []byte, change func(*Object, registry.View, *catalog.Webhook) error, show func(registry.View) any) {
	apply := func(body []byte, current, w *catalog.Webhook) error {
		sent, err := (&Call{Body: body}).Object()
		if err != nil {
			return err
		}
		if err := change(sent, registry.View{Webhook: current}, w); err != nil {
			return err
		}
		return s.complete(w, current)
	}
	d := Dialect{Platform: s.platform}
	w := catalog.NewWebhook()
	w.ID, w.Platform, w.Format, w.Signing.Enabled = "a", s.platform, catalog.Format(s.platform), false
	if err := apply(body, &catalog.Webhook{}, w); err != nil {
		refusal := d.Refusal(err)
		require.NotNil(t, refusal, "%v", err)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, refusal.Status)
		return
	}
	read := encoded(t, show(registry.View{Webhook: w}))
	again := w.Clone()
	require.NoError(t, apply([]byte(read), w, again), "%s", read)
	require.Equal(t, read, encoded(t, show(registry.View{Webhook: again})))
	require.Equal(t, encoded(t, w), encoded(t, again))
	require.Equal(t, w.Auth, again.Auth, "secrets included")
	require.Equal(t, w.Overrides, again.Overrides, "secrets included")
}

// encoded is JSON as the server writes it.
func encoded(t *testing.T, v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(v))
	return b.String()
}
