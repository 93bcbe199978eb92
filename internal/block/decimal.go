package block

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// decimalWidth is how many bytes ClickHouse gives a Decimal of this precision.
func decimalWidth(precision int) int {
	switch {
	case precision <= 9:
		return 4
	case precision <= 18:
		return 8
	case precision <= 38:
		return 16
	default:
		return 32
	}
}

// appendDecimal writes the value times 10^scale. Zeros behind the scale are no excess: they change nothing.
func appendDecimal(c *buffer, text []byte) *refusal {
	if isSpecial(text) {
		return refuseSpecial
	}
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	whole, fraction, r := splitDecimal(text)
	if r != nil {
		return r
	}
	whole = bytes.TrimLeft(whole, "0")
	if len(whole) > c.typ.Precision-c.typ.Scale {
		return refuseDigits
	}
	up := false
	if len(fraction) > c.typ.Scale {
		rest := fraction[c.typ.Scale:]
		if len(bytes.TrimRight(rest, "0")) > 0 && !c.typ.Lossy {
			return refuseScale
		}
		up = rest[0] >= '5' // away from zero, as PostgreSQL rounds
		fraction = fraction[:c.typ.Scale]
	}
	var v wide
	v.addDigits(whole)
	v.addDigits(fraction)
	v.shift(c.typ.Scale - len(fraction))
	if up {
		if len(bytes.Trim(whole, "9")) == 0 && len(whole) == c.typ.Precision-c.typ.Scale && len(bytes.Trim(fraction, "9")) == 0 {
			return refuseDigits
		}
		v.mulAdd(1, 1)
	}
	if negative {
		v.negate()
	}
	c.data = v.append(c.data, c.width)
	return nil
}

func isSpecial(text []byte) bool {
	switch string(text) {
	case "NaN", "Infinity", "-Infinity":
		return true
	default:
		return false
	}
}

// splitDecimal takes digits[.digits], the only form in which numeric is written.
func splitDecimal(text []byte) (whole, fraction []byte, r *refusal) {
	point := -1
	for i, ch := range text {
		if ch == '.' && point < 0 {
			point = i
		} else if ch-'0' > 9 {
			return nil, nil, refuseNumber
		}
	}
	switch {
	case len(text) == 0, point == 0, point == len(text)-1:
		return nil, nil, refuseNumber
	case point < 0:
		return text, nil, nil
	default:
		return text[:point], text[point+1:], nil
	}
}

// wide is a 256-bit integer, lowest word first. 76 digits need 253 bits, so nothing here overflows.
type wide [4]uint64

// pow10 are the powers of ten that fit a word.
var pow10 = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

const wordDigits = 19

// addDigits makes v the number whose decimal digits are v's followed by digits, a word's worth at a time.
func (v *wide) addDigits(digits []byte) {
	for len(digits) > 0 {
		n := min(len(digits), wordDigits)
		var word uint64
		for _, ch := range digits[:n] {
			word = word*10 + uint64(ch-'0')
		}
		v.mulAdd(pow10[n], word)
		digits = digits[n:]
	}
}

// shift multiplies v by 10^n.
func (v *wide) shift(n int) {
	for ; n > 0; n -= wordDigits {
		v.mulAdd(pow10[min(n, wordDigits)], 0)
	}
}

func (v *wide) mulAdd(factor, term uint64) {
	carry := term
	for i, word := range v {
		high, low := bits.Mul64(word, factor)
		var c uint64
		v[i], c = bits.Add64(low, carry, 0)
		carry = high + c
	}
}

func (v *wide) negate() {
	carry := uint64(1)
	for i, word := range v {
		v[i], carry = bits.Add64(^word, 0, carry)
	}
}

// append appends the low width bytes of v.
func (v *wide) append(data []byte, width int) []byte {
	if width == 4 {
		return binary.LittleEndian.AppendUint32(data, uint32(v[0]))
	}
	for _, word := range v[:width/8] {
		data = binary.LittleEndian.AppendUint64(data, word)
	}
	return data
}
