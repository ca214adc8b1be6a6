package catalog

import (
	"cmp"
	"strconv"
	"strings"
)

// decimal is a JSON number, kept as its digits: 0.1, 9007199254740993 and 1e400 compare exactly, and 1e999999999
// costs no more than any other, since nothing is ever expanded. Its value is 0.DIGITS × 10^exp, where DIGITS are
// those of whole followed by those of part, neither beginning nor ending with a zero. It holds parts of the text it
// was parsed from and allocates nothing.
type decimal struct {
	whole, part string
	exp         int64
	negative    bool
}

// saturatedExp stands for every exponent that is too long to read. An int64 has room for it plus the length of any
// text; maxFilterExp keeps what filters are written with far below, so that comparing with it is still exact.
const (
	saturatedExp = 1 << 60
	maxFilterExp = 1 << 50
)

// parseDecimal reads a valid JSON number.
func parseDecimal(text string) decimal {
	var d decimal
	text, d.negative = strings.CutPrefix(text, "-")
	mantissa, exponent := text, int64(0)
	if e := strings.IndexAny(text, "eE"); e >= 0 {
		mantissa, exponent = text[:e], parseExponent(text[e+1:])
	}
	d.whole, d.part, _ = strings.Cut(mantissa, ".")
	d.whole = strings.TrimLeft(d.whole, "0")
	d.exp = exponent + int64(len(d.whole))
	if d.whole == "" {
		trimmed := strings.TrimLeft(d.part, "0")
		d.exp -= int64(len(d.part) - len(trimmed))
		d.part = trimmed
	}
	if d.part = strings.TrimRight(d.part, "0"); d.part == "" {
		d.whole = strings.TrimRight(d.whole, "0")
	}
	if d.isZero() {
		return decimal{} // -0 and 0e5 are 0
	}
	return d
}

func parseExponent(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > saturatedExp || n < -saturatedExp {
		if strings.HasPrefix(text, "-") {
			return -saturatedExp
		}
		return saturatedExp
	}
	return n
}

func (d decimal) isZero() bool { return d.whole == "" && d.part == "" }

func (d decimal) sign() int {
	switch {
	case d.isZero():
		return 0
	case d.negative:
		return -1
	default:
		return 1
	}
}

// compare orders two numbers like cmp.Compare.
func (d decimal) compare(other decimal) int {
	sign := d.sign()
	if c := cmp.Compare(sign, other.sign()); c != 0 || sign == 0 {
		return c
	}
	c := cmp.Compare(d.exp, other.exp)
	if c == 0 {
		c = compareDigits(d, other)
	}
	return c * sign
}

// compareDigits compares two digit strings, each in two parts, as fractions: "5" is more than "49".
func compareDigits(a, b decimal) int {
	for a.whole != "" || a.part != "" {
		if a.whole == "" {
			a.whole, a.part = a.part, ""
		}
		if b.whole == "" {
			b.whole, b.part = b.part, ""
		}
		n := min(len(a.whole), len(b.whole))
		if n == 0 {
			return 1 // b is a prefix of a
		}
		if c := strings.Compare(a.whole[:n], b.whole[:n]); c != 0 {
			return c
		}
		a.whole, b.whole = a.whole[n:], b.whole[n:]
	}
	if b.whole != "" || b.part != "" {
		return -1
	}
	return 0
}
