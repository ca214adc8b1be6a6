package catalog

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

const operatorTypes = `# ours
domain: fleet
groups:
  - platform: donutwork
    types:
      - {name: RecurringPayments.charge.refunded, description: A charge was refunded}
  - versioned: true
    types:
      - name: event.vehicle.sold.v2
      - name: event.claim.created.v2
samples:
  - prefix: event.
    data: |
      {"amount": 1.10}
`

func TestParseTypes(t *testing.T) {
	types, err := ParseTypes(TypeFile{Name: "ours.yaml", Text: []byte(operatorTypes)}, TypeFile{Name: "debt.yaml", Text: []byte("domain: debt\ngroups: [{types: [{name: debt.sold}]}]")})
	require.NoError(t, err)
	require.False(t, IsKnownType("debt.sold"), "nothing is changed before Use")
	built := len(EventTypes())

	types.Use()
	t.Cleanup(func() { builtIn().Use() })
	require.Len(t, EventTypes(), built+4)
	require.Equal(t, []string{"debt", "payment", "claim", "policy", "sms", "fleet"}, Domains())
	require.True(t, IsDomain("fleet"))

	sold, found := LookupEventType("debt.sold")
	require.True(t, found)
	require.Equal(t, EventType{Name: "debt.sold", Domain: "debt", Platform: "v1"}, sold)
	refunded, found := LookupEventType("RecurringPayments.charge.refunded")
	require.True(t, found)
	require.Equal(t, EventType{Name: "RecurringPayments.charge.refunded", Domain: "fleet", Platform: "donutwork", Description: "A charge was refunded"}, refunded)
	require.Len(t, PlatformTypes(PlatformDonutwork), 3)

	vehicle, found := LookupEventType("event.vehicle.sold.v2")
	require.True(t, found)
	require.Equal(t, `{"amount": 1.10}`, string(vehicle.Sample))
	require.True(t, IsKnownType("event.vehicle.sold"))
	require.True(t, IsKnownType("event.vehicle.sold.v9"))
	exact, err := ParsePattern("event.claim.created")
	require.NoError(t, err)
	require.True(t, exact.Match("event.claim.created.v1"))
	require.True(t, exact.Match("event.claim.created.v2"))
	require.True(t, IsKnownType("debt.paid"), "the built-in ones are still there")
}

func TestParseTypes_NamesFileAndLine(t *testing.T) {
	for text, want := range map[string]string{
		"domain: debt\ngroups:\n- types:\n  - name: debt.paid":                     `f.yaml:4: "debt.paid" is listed already`,
		"domain: debt\ngroups:\n- types:\n  - name: debt.a\n  - name: debt.a":      `f.yaml:5: "debt.a" is listed already`,
		"domain: debt\ngroups:\n- types:\n  - name: debt.*":                        `f.yaml:4: "debt.*" is a pattern, not the name of an event type`,
		"domain: debt\ngroups:\n- types:\n  - description: x":                      `f.yaml:1: not an event pattern: `,
		"domain: debt\ngroups:\n- versioned: true\n  types:\n  - name: debt.sold":  `f.yaml:5: "debt.sold" has no version`,
		"domain: debt\ngroups:\n- platform: nobody\n  types:\n  - name: debt.sold": `f.yaml:3: there is no platform "nobody"`,
		"\ndomain: De bt": `f.yaml:2: domain "De bt" is not a domain`,
		"groups: []":      `f.yaml:1: domain "" is not a domain`,
		"domain: relay":   `f.yaml:1: domain "relay" is that of the relay's own`,
		"domain: debt\ngroups:\n- types:\n  - name: relay.x": `f.yaml:4: "relay.x" is named like the relay's own`,
		"domain: debt\nsamples:\n- prefix: a\n  data: '{'":   `f.yaml:4: the sample of "a" is not JSON`,
		"domain: debt\nevents: []":                           `f.yaml:2: unknown field "events"`,
		"domain: [":                                          `f.yaml:1: `,
		"domain: debt\n\tgroups: []":                         `f.yaml:2: `,
		"domain:\n  a: b":                                    `f.yaml:`,
		"- a":                                                `f.yaml:1: `,
	} {
		_, err := ParseTypes(TypeFile{Name: "f.yaml", Text: []byte(text)})
		require.ErrorContains(t, err, want, "%s", text)
	}
	_, err := ParseTypes(TypeFile{Name: "a.yaml", Text: []byte("domain: A")}, TypeFile{Name: "b.yaml", Text: []byte("domain: debt\ngroups: [{types: [{name: debt.paid}, {name: sms.*}]}]")})
	for _, want := range []string{"a.yaml:1: ", `b.yaml:2: "debt.paid"`, `b.yaml:2: "sms.*"`} {
		require.ErrorContains(t, err, want, "all problems are told at once")
	}
}

func FuzzParseTypes(f *testing.F) {
	f.Add([]byte(operatorTypes))
	f.Add([]byte("domain: ~\ngroups: ~"))
	f.Fuzz(func(t *testing.T, text []byte) {
		types, err := ParseTypes(TypeFile{Name: "f.yaml", Text: text})
		if err != nil {
			require.ErrorContains(t, err, "f.yaml:")
			return
		}
		for _, et := range types.types {
			require.NotEmpty(t, et.Name)
			require.NotEmpty(t, et.Domain)
		}
	})
}

func ExampleParseTypes() {
	_, err := ParseTypes(TypeFile{Name: "ours.yaml", Text: []byte(`domain: debt
groups:
  - types:
      - {name: debt.sold, description: A debt was sold}
      - {name: debt.paid, description: A debt was paid}
`)})
	fmt.Println(err)
	// Output: ours.yaml:5: "debt.paid" is listed already
}
