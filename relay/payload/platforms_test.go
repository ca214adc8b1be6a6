package payload

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
)

func TestPlatforms_WhatTheyCannotCarry(t *testing.T) {
	farFuture := event(`{}`)
	farFuture.Time = time.UnixMilli(1772368496789 * 1000)
	nested := []catalog.Format{catalog.FormatOphelos, catalog.FormatSocotra, catalog.FormatDonutwork}
	flat := []catalog.Format{catalog.FormatOcelot, catalog.FormatReceeve}
	for name, tc := range map[string]struct {
		ev   *catalog.Event
		fail []catalog.Format
	}{
		"an object":         {event(` {"a":1} `), nil},
		"no data":           {event(``), nil},
		"an array":          {event(`[{}]`), flat},
		"a number":          {event(`1`), flat},
		"null":              {event(`null`), flat},
		"not JSON":          {event(`{"a":1`), platforms},
		"closes the object": {event(`{},"x":{}`), platforms},
		"only a space":      {event(` `), platforms},
		"10 MB of braces":   {event(strings.Repeat("{", 10<<20)), platforms},
		"not UTF-8":         {event("{\"a\":\"\xff\"}"), []catalog.Format{catalog.FormatReceeve}},
		"year 58134":        {farFuture, append([]catalog.Format{catalog.FormatOphelos, catalog.FormatDonutwork}, flat...)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, format := range append(nested, flat...) {
				var m Message
				err := compile(t, format, signedWith(vectorSecret)).Compose(&m, delivery(tc.ev), fixedNow)
				fails := false
				for _, f := range tc.fail {
					fails = fails || f == format
				}
				if fails {
					require.ErrorIs(t, err, ErrFormat, format)
					require.Empty(t, m.Body)
					continue
				}
				require.NoError(t, err, format)
				require.NoError(t, accept(format, m.received(), m.Body, vectorSecret, &testPair.PublicKey))
			}
		})
	}
}

// A receiver tells repeats by webhook-id and by the id in the body, so neither may follow the attempt, nor may the
// body: not even that of an event that has no id and no time of its own.
func TestPlatforms_AttemptsOfADeliveryHaveOneBody(t *testing.T) {
	for _, id := range []string{"evt_1", ""} {
		for _, format := range platforms {
			ev := event(`{"a":1}`)
			ev.ID = id
			e, d := compile(t, format, signedWith(vectorSecret)), delivery(ev)
			first := compose(t, e, d)
			d.Attempts, d.Resends = 9, 1
			var later Message
			require.NoError(t, e.Compose(&later, d, fixedNow.Add(time.Hour)))
			require.Equal(t, string(first.Body), string(later.Body))
			require.Equal(t, first.received().Get(headerID), later.received().Get(headerID))
			if id == "" {
				require.Contains(t, string(first.Body), d.ID)
			}
		}
	}
}

func TestPlatforms_SendNoStandardSignature(t *testing.T) {
	own := map[catalog.Format]string{
		catalog.FormatOphelos: headerOphelosSignature, catalog.FormatSocotra: headerSocotraSignature, catalog.FormatDonutwork: headerDonutworkToken,
	}
	for _, format := range platforms {
		signed := compose(t, compile(t, format, signedWith(vectorSecret)), delivery(event(`{}`))).received()
		unsigned := compose(t, compile(t, format, catalog.Signing{}), delivery(event(`{}`))).received()
		for _, h := range []http.Header{signed, unsigned} {
			require.Empty(t, h.Values(headerSignature))
			require.NotEmpty(t, h.Get(headerID))
			require.NotEmpty(t, h.Get(headerTimestamp))
			require.Equal(t, "1", h.Get(headerAttempt))
			require.Equal(t, format == catalog.FormatOphelos, h.Get(headerOphelosVersion) != "")
		}
		if name := own[format]; name != "" {
			require.NotEmpty(t, signed.Get(name))
			require.Empty(t, unsigned.Values(name), "signing is disabled")
		}
	}
}

// While keys rotate, Ophelos takes a signature by each; the others have room for the newest.
func TestPlatforms_Rotation(t *testing.T) {
	const older = "an older key"
	signing := signedWith(vectorSecret)
	signing.Secrets = append(signing.Secrets, catalog.SigningSecret{Value: catalog.NewSecret(older), Encoding: catalog.SecretRaw})
	for _, format := range platforms {
		m := compose(t, compile(t, format, signing), delivery(event(`{"a":1}`)))
		require.NoError(t, accept(format, m.received(), m.Body, vectorSecret, &testPair.PublicKey))
		err := accept(format, m.received(), m.Body, older, &testPair.PublicKey)
		require.Equal(t, format == catalog.FormatSocotra || format == catalog.FormatDonutwork, err != nil, format)
	}
}

func TestPlatforms_KeysThatCannotSign(t *testing.T) {
	signing := func(secrets ...string) Keys {
		s := catalog.Signing{Enabled: true}
		for _, secret := range secrets {
			s.Secrets = append(s.Secrets, catalog.SigningSecret{Value: catalog.NewSecret(secret), Encoding: catalog.SecretRaw})
		}
		return Keys{Signing: s}
	}
	for _, format := range []catalog.Format{catalog.FormatOphelos, catalog.FormatSocotra, catalog.FormatDonutwork} {
		for _, keys := range []Keys{signing(), signing(""), signing("good-canary", catalog.Redacted)} {
			_, err := Compile(format, keys)
			require.ErrorIs(t, err, ErrSigningKey)
			require.NotContains(t, err.Error(), "canary")
		}
	}
	_, err := Compile(catalog.FormatDonutwork, signing("token\r\nx-canary: 1"))
	require.ErrorIs(t, err, ErrSigningKey)
	require.NotContains(t, err.Error(), "canary")
	_, err = Compile(catalog.FormatReceeve, signing("secret"))
	require.ErrorIs(t, err, ErrSigningKey)
	require.ErrorContains(t, err, "no key pair")
}

func TestOphelos_Version(t *testing.T) {
	versions := catalog.FormatVersions(catalog.FormatOphelos)
	for asked, want := range map[string]string{"": versions[len(versions)-1], versions[0]: versions[0]} {
		e, err := Compile(catalog.FormatOphelos, Keys{Version: asked})
		require.NoError(t, err)
		require.Equal(t, want, compose(t, e, delivery(event(`{}`))).received().Get("Ophelos-Version"))
	}
}

func TestOcelot_SetsItsFieldsWhereTheyStand(t *testing.T) {
	for data, want := range map[string]string{
		``:                           `{"name":"N","eventId":"I","dateTime":"T"}`,
		` {} `:                       `{"name":"N","eventId":"I","dateTime":"T"}`,
		"{ \n}":                      "{\"name\":\"N\",\"eventId\":\"I\",\"dateTime\":\"T\" \n}",
		`{"a":1}`:                    `{"name":"N","eventId":"I","dateTime":"T","a":1}`,
		`{ "a" : 1.10 }`:             `{"name":"N","eventId":"I","dateTime":"T", "a" : 1.10 }`,
		`{"a":1,"name":{"b":[","]}}`: `{"eventId":"I","dateTime":"T","a":1,"name":"N"}`,
		`{"dateTime":0 ,"n\u0061me":"x","eventId":null}`: `{"dateTime":"T" ,"n\u0061me":"N","eventId":"I"}`,
		`{"name":1,"name":2}`:                            `{"eventId":"I","dateTime":"T","name":"N","name":"N"}`,
		`{"a":{"name":1},"Name":2}`:                      `{"name":"N","eventId":"I","dateTime":"T","a":{"name":1},"Name":2}`,
	} {
		ev := event(data)
		ev.ID, ev.Type = "I", "N"
		m := compose(t, compile(t, catalog.FormatOcelot, catalog.Signing{}), delivery(ev))
		require.Equal(t, strings.ReplaceAll(want, `"T"`, `"2026-03-01T12:34:56Z"`), string(m.Body))
	}
}

func TestReceeve_UserOnlyWhenKnown(t *testing.T) {
	for want, user := range map[string]catalog.User{
		``: {Name: "Ann"},
		`,"user":{"id":"1","poolId":"2","originator":"3"}`: {Name: "Ann", ID: "1", PoolID: "2", Originator: "3"},
		`,"user":{"originator":"\"ClientAPI\""}`:           {Originator: `"ClientAPI"`},
	} {
		ev := event(`{"messageType":"debt.paid.v1"}`)
		ev.User = user
		m := compose(t, compile(t, catalog.FormatReceeve, catalog.Signing{}), delivery(ev))
		require.Contains(t, string(m.Body), `{"payload":{"details":{"messageType":"debt.paid.v1"},"messageId":"evt_1","timestamp":"2026-03-01T12:34:56.000Z"`+want+`},"signature":"`)
	}
}

func TestAppendOriginalTime(t *testing.T) {
	for _, tc := range []struct {
		text, plain, millis string
		at                  time.Time
	}{
		{"2026-03-01T13:34:56+01:00", "2026-03-01T13:34:56+01:00", "2026-03-01T12:34:56.000Z", time.Time{}},
		{"2026-03-01T12:34:56.8Z", "2026-03-01T12:34:56.8Z", "2026-03-01T12:34:56.800Z", time.Time{}},
		{"2026-03-01T12:34:56.848123456Z", "2026-03-01T12:34:56.848123456Z", "2026-03-01T12:34:56.848123456Z", time.Time{}},
		{"2026-03-01T12:34:56.500-05:30", "2026-03-01T12:34:56.500-05:30", "2026-03-01T12:34:56.500-05:30", time.Time{}},
		{"1772368496789", "2026-03-01T12:34:56.789Z", "2026-03-01T12:34:56.789Z", time.UnixMilli(1772368496789)},
		{"2026-03-01 12:34:56", "2026-03-01T12:34:56Z", "2026-03-01T12:34:56.000Z", time.Unix(1772368496, 0)},
		{"2026-03-01T1:34:56Z", "2026-03-01T01:34:56Z", "2026-03-01T01:34:56.000Z", time.Unix(1772328896, 0)},
		{"2026-03-01T12:34:56,5Z", "2026-03-01T12:34:56.5Z", "2026-03-01T12:34:56.500Z", time.UnixMilli(1772368496500)},
		{"", "2026-03-01T12:34:56.00012Z", "2026-03-01T12:34:56.00012Z", time.Unix(1772368496, 120_000)},
	} {
		ev := &catalog.Event{TimeText: tc.text, Time: tc.at}
		if tc.at.IsZero() {
			var err error
			ev.Time, err = time.Parse(time.RFC3339Nano, tc.text)
			require.NoError(t, err)
		}
		for digits, want := range map[int]string{0: tc.plain, 3: tc.millis} {
			got, err := appendOriginalTime(nil, ev, digits)
			require.NoError(t, err)
			require.Equal(t, want, string(got))
		}
	}
}

func BenchmarkCompose_Platforms(b *testing.B) {
	for _, format := range platforms {
		b.Run(string(format), func(b *testing.B) {
			e, d := compile(b, format, signedWith(vectorSecret)), delivery(event(usualData))
			benchmark(b, e, d)
		})
	}
}

func benchmark(b *testing.B, e *Encoding, d *relay.Delivery) {
	var m Message
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Compose(&m, d, fixedNow); err != nil {
			b.Fatal(err)
		}
	}
}
