package catalog

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecimalOrder(t *testing.T) {
	// Each line is equal within, and less than the next.
	lines := [][]string{
		{"-1e99999999999999999999", "-2E+99999999999999999999"}, // beyond what is told apart
		{"-1e999999999"},
		{"-10", "-1e1", "-10.0", "-0.1e2"},
		{"-9.99"},
		{"-1e-999999999"},
		{"0", "-0", "0.0", "-0.000e99999999999999999999", "0e-5"},
		{"1e-999999999"},
		{"0.1", "1e-1", "0.10", "100e-3"},
		{"0.1000000000000000055511151231257827"},
		{"0.5"},
		{"1", "1.0", "10e-1", "0.01E2", "1e+0"},
		{"9007199254740992"},
		{"9007199254740993", "9007199254740993.000", "9.007199254740993e15"},
		{"9007199254740993.5"},
		{"1e400", "10e399", "0.1e401"},
		{"1e999999999"},
		{"1.5e999999999"},
	}
	for i, line := range lines {
		for j, other := range lines {
			for _, a := range line {
				for _, b := range other {
					if i == 0 && j == 0 {
						continue
					}
					got := parseDecimal(a).compare(parseDecimal(b))
					switch {
					case i < j:
						require.Equal(t, -1, got, "%s < %s", a, b)
					case i > j:
						require.Equal(t, 1, got, "%s > %s", a, b)
					default:
						require.Equal(t, 0, got, "%s = %s", a, b)
					}
				}
			}
		}
	}
}

// TestDecimalAgreesWithRat compares numbers of few digits, among which equal ones are frequent, with exact rationals.
func TestDecimalAgreesWithRat(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	digits := func(least int) string {
		var b strings.Builder
		for range least + random.IntN(4) {
			b.WriteByte("0019"[random.IntN(4)])
		}
		return b.String()
	}
	number := func() string {
		text := []string{"", "-"}[random.IntN(2)] + strings.TrimLeft(digits(0), "0")
		if text == "" || text == "-" {
			text += "0"
		}
		if random.IntN(2) == 0 {
			text += "." + digits(1)
		}
		return text + []string{"", "e1", "E-2", "e+3"}[random.IntN(4)]
	}
	for range 20_000 {
		a, b := number(), number()
		x, ok := new(big.Rat).SetString(a)
		require.True(t, ok, a)
		y, ok := new(big.Rat).SetString(b)
		require.True(t, ok, b)
		if want, got := x.Cmp(y), parseDecimal(a).compare(parseDecimal(b)); want != got {
			t.Fatalf("compare %s with %s: %d, not %d", a, b, got, want)
		}
	}
}

func TestDecimalAllocatesNothing(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if parseDecimal("-12345.6789e10").compare(parseDecimal("1e999999999")) != -1 {
			t.Fatal("wrong order")
		}
	}))
}
