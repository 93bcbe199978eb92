package block

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-db/tidemark/sql"
)

// AppendBinary appends a value, given as PostgreSQL's binary format has it, in the form that the Column names. Only values
// that their column takes as they are have a way of their own. Any other is written as PostgreSQL's text first, so that
// what is refused, clamped or rounded is said in one place. The error is a *ValueError.
func (b *Builder) AppendBinary(col int, data []byte) error {
	c := &b.cols[col]
	if c.binary != nil && c.binary(c, data) {
		c.landed(0)
		return nil
	}
	text, ok := textOf(c.form, data)
	if !ok {
		return c.refuse(refuseBinary, data)
	}
	return b.AppendText(col, text)
}

// Text returns PostgreSQL's text of a binary value, for messages.
func (b *Builder) Text(col int, data []byte) string {
	text, ok := textOf(b.cols[col].form, data)
	if !ok {
		return strconv.Quote(string(data))
	}
	return string(text)
}

// binaryOf returns what appends the plain values of a form, and nil for those whose text is at hand. It appends nothing
// where it returns false.
func binaryOf(form sql.Binary, kind sql.Kind) func(*buffer, []byte) bool {
	switch form {
	case sql.BinaryBytes:
		return binaryBytes
	case sql.BinaryBool:
		return binaryBool
	case sql.BinaryInt:
		if kind >= sql.KindUInt8 && kind <= sql.KindUInt64 {
			return binaryUint
		}
		return binaryInt
	case sql.BinaryFloat:
		return binaryFloat
	case sql.BinaryNumeric:
		return binaryNumeric
	case sql.BinaryUUID:
		return binaryUUID
	case sql.BinaryDate:
		return binaryDate
	case sql.BinaryTimestamp:
		return binaryTimestamp
	case sql.BinaryTimestampTZ:
		return binaryTimestampTZ
	default:
		return nil
	}
}

func binaryBytes(c *buffer, data []byte) bool { return appendString(c, data) == nil }

func binaryBool(c *buffer, data []byte) bool {
	if len(data) != 1 || data[0] > 1 {
		return false
	}
	c.data = append(c.data, data[0])
	return true
}

// readInt reads a smallint, an integer or a bigint.
func readInt(data []byte) (v int64, ok bool) {
	switch len(data) {
	case 2:
		return int64(int16(binary.BigEndian.Uint16(data))), true
	case 4:
		return int64(int32(binary.BigEndian.Uint32(data))), true
	case 8:
		return int64(binary.BigEndian.Uint64(data)), true
	default:
		return 0, false
	}
}

func binaryInt(c *buffer, data []byte) bool {
	v, ok := readInt(data)
	unused := 64 - 8*c.width
	if !ok || v<<unused>>unused != v {
		return false
	}
	c.putInt(uint64(v))
	return true
}

func binaryUint(c *buffer, data []byte) bool {
	v, ok := readInt(data)
	if !ok || v < 0 || uint64(v) > math.MaxUint64>>(64-8*c.width) {
		return false
	}
	c.putInt(uint64(v))
	return true
}

// binaryFloat leaves NaN to the text: of its many forms there is one.
func binaryFloat(c *buffer, data []byte) bool {
	v, ok := readFloat(data)
	if !ok || len(data) != c.width || math.IsNaN(v) {
		return false
	}
	if c.width == 4 {
		c.data = binary.LittleEndian.AppendUint32(c.data, binary.BigEndian.Uint32(data))
	} else {
		c.data = binary.LittleEndian.AppendUint64(c.data, binary.BigEndian.Uint64(data))
	}
	return true
}

func readFloat(data []byte) (v float64, ok bool) {
	switch len(data) {
	case 4:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(data))), true
	case 8:
		return math.Float64frombits(binary.BigEndian.Uint64(data)), true
	default:
		return 0, false
	}
}

func binaryUUID(c *buffer, data []byte) bool {
	if len(data) != 16 {
		return false
	}
	c.data = binary.LittleEndian.AppendUint64(c.data, binary.BigEndian.Uint64(data))
	c.data = binary.LittleEndian.AppendUint64(c.data, binary.BigEndian.Uint64(data[8:]))
	return true
}

// PostgreSQL counts from 2000-01-01.
const (
	epochDays    = 10957
	epochSeconds = epochDays * secondsPerDay
)

func readDay(data []byte) (days int64, ok bool) {
	if len(data) != 4 {
		return 0, false
	}
	return int64(int32(binary.BigEndian.Uint32(data))) + epochDays, true
}

func binaryDate(c *buffer, data []byte) bool {
	days, ok := readDay(data)
	return ok && c.putDay(days) == nil
}

// readTime returns the seconds since 1970-01-01 and the microseconds of the last one. Infinities are far beyond any range.
func readTime(data []byte) (seconds, micro int64, ok bool) {
	if len(data) != 8 {
		return 0, 0, false
	}
	micros := int64(binary.BigEndian.Uint64(data))
	seconds, micro = micros/microsPerSecond, micros%microsPerSecond
	if micro < 0 {
		seconds, micro = seconds-1, micro+microsPerSecond
	}
	return seconds + epochSeconds, micro, true
}

func binaryTimestamp(c *buffer, data []byte) bool {
	wall, micro, ok := readTime(data)
	if !ok {
		return false
	}
	seconds, r := c.zone.instantInRange(wall)
	if r != nil {
		return false
	}
	c.putMicros(seconds, micro)
	return true
}

func binaryTimestampTZ(c *buffer, data []byte) bool {
	seconds, micro, ok := readTime(data)
	if !ok || inRange(seconds) != nil {
		return false
	}
	c.putMicros(seconds, micro)
	return true
}

// numeric is PostgreSQL's: sign and digits to the base 10,000, the first of which counts 10,000^weight, shown with scale
// decimal digits after the point.
type numeric struct {
	digits []byte // two of each
	weight int
	sign   uint16
	scale  int
}

const (
	numericHeader      = 8 // bytes before the digits
	numericBase        = 10_000
	numericBaseDigits  = 4 // decimal digits of one
	mostNumericInAWord = 4 // digits that a word holds
)

// The signs of a numeric that is not positive.
const (
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericInfinity = 0xD000
	numericMinusInf = 0xF000
)

func readNumeric(data []byte) (n numeric, ok bool) {
	if len(data) < numericHeader || len(data) != numericHeader+2*int(binary.BigEndian.Uint16(data)) {
		return n, false
	}
	return numeric{
		digits: data[numericHeader:],
		weight: int(int16(binary.BigEndian.Uint16(data[2:]))),
		sign:   binary.BigEndian.Uint16(data[4:]),
		scale:  int(binary.BigEndian.Uint16(data[6:])),
	}, true
}

// digit returns the digit that counts 10,000^at.
func (n numeric) digit(at int) uint64 {
	i := 2 * (n.weight - at)
	if i < 0 || i >= len(n.digits) {
		return 0
	}
	return uint64(binary.BigEndian.Uint16(n.digits[i:]))
}

// binaryNumeric takes what fits a word.
func binaryNumeric(c *buffer, data []byte) bool {
	n, ok := readNumeric(data)
	count := len(n.digits) / 2
	if !ok || n.sign&^numericNegative != 0 || n.scale > c.typ.Scale || count > mostNumericInAWord {
		return false
	}
	var v uint64
	for i := range count {
		v = v*numericBase + n.digit(n.weight-i)
	}
	v, ok = scaled(v, c.typ.Scale+numericBaseDigits*(n.weight-count+1))
	if !ok || c.typ.Precision < len(pow10) && v >= pow10[c.typ.Precision] {
		return false
	}
	whole := wide{v}
	if n.sign == numericNegative {
		whole.negate()
	}
	c.data = whole.append(c.data, c.width)
	return true
}

// scaled multiplies by 10^n, if the result is whole and fits.
func scaled(v uint64, n int) (uint64, bool) {
	switch {
	case v == 0:
		return 0, true
	case n >= len(pow10) || n <= -len(pow10):
		return 0, false
	case n < 0:
		return v / pow10[-n], v%pow10[-n] == 0
	}
	high, low := bits.Mul64(v, pow10[n])
	return low, high == 0
}

// textOf writes a value as PostgreSQL's output function does under the settings that cdc pins.
func textOf(form sql.Binary, data []byte) (text []byte, ok bool) {
	switch form {
	case sql.BinaryText:
		return data, true
	case sql.BinaryJSONB:
		if len(data) == 0 || data[0] != 1 {
			return nil, false
		}
		return data[1:], true
	case sql.BinaryBytes:
		return hex.AppendEncode([]byte(`\x`), data), true
	case sql.BinaryBool:
		if len(data) != 1 || data[0] > 1 {
			return nil, false
		}
		return []byte{"ft"[data[0]]}, true
	case sql.BinaryInt:
		v, ok := readInt(data)
		return strconv.AppendInt(nil, v, 10), ok
	case sql.BinaryFloat:
		v, ok := readFloat(data)
		if !ok {
			return nil, false
		}
		return floatText(v, 8*len(data)), true
	case sql.BinaryNumeric:
		n, ok := readNumeric(data)
		return n.text(), ok
	case sql.BinaryUUID:
		return uuidText(data), len(data) == 16
	case sql.BinaryDate:
		days, ok := readDay(data)
		return dateText(days), ok
	case sql.BinaryTimestamp:
		seconds, micro, ok := readTime(data)
		return timeText(seconds, micro, ""), ok
	case sql.BinaryTimestampTZ:
		seconds, micro, ok := readTime(data)
		return timeText(seconds, micro, "+00"), ok
	default:
		return nil, false
	}
}

// floatText differs from PostgreSQL's in when it writes an exponent.
func floatText(v float64, width int) []byte {
	switch {
	case math.IsNaN(v):
		return []byte("NaN")
	case math.IsInf(v, 1):
		return []byte("Infinity")
	case math.IsInf(v, -1):
		return []byte("-Infinity")
	default:
		return strconv.AppendFloat(nil, v, 'g', -1, width)
	}
}

func uuidText(data []byte) []byte {
	if len(data) != 16 {
		return nil
	}
	s := hex.EncodeToString(data)
	return []byte(strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-"))
}

func (n numeric) text() []byte {
	switch n.sign {
	case numericNaN:
		return []byte("NaN")
	case numericInfinity:
		return []byte("Infinity")
	case numericMinusInf:
		return []byte("-Infinity")
	}
	var out []byte
	for at := n.weight; at >= 0; at-- {
		out = appendDigits(out, n.digit(at))
	}
	if out = []byte(strings.TrimLeft(string(out), "0")); len(out) == 0 {
		out = []byte{'0'}
	}
	if n.sign == numericNegative {
		out = append([]byte{'-'}, out...)
	}
	if n.scale == 0 {
		return out
	}
	out = append(out, '.')
	end := len(out) + n.scale
	for at := -1; len(out) < end; at-- {
		out = appendDigits(out, n.digit(at))
	}
	return out[:end]
}

// appendDigits writes one digit to the base 10,000.
func appendDigits(to []byte, digit uint64) []byte {
	return append(to, byte('0'+digit/1000%10), byte('0'+digit/100%10), byte('0'+digit/10%10), byte('0'+digit%10))
}

// The largest and smallest numbers stand for infinities.
func dateText(days int64) []byte {
	if text := infinity(days-epochDays, math.MinInt32, math.MaxInt32); text != nil {
		return text
	}
	return eraText(time.Unix(days*secondsPerDay, 0).UTC(), "")
}

func timeText(seconds, micro int64, offset string) []byte {
	micros := (seconds-epochSeconds)*microsPerSecond + micro
	if text := infinity(micros, math.MinInt64, math.MaxInt64); text != nil {
		return text
	}
	at := time.Unix(seconds, micro*int64(time.Microsecond)).UTC()
	return eraText(at, at.Format(" 15:04:05.999999")+offset)
}

func infinity(v, low, high int64) []byte {
	switch v {
	case low:
		return []byte("-infinity")
	case high:
		return []byte("infinity")
	default:
		return nil
	}
}

// eraText writes a day, the time that is given, and the era: Go's year 0 is 1 BC.
func eraText(at time.Time, clock string) []byte {
	year, era := at.Year(), ""
	if year <= 0 {
		year, era = 1-year, " BC"
	}
	text := strconv.Itoa(year)
	if pad := 4 - len(text); pad > 0 {
		text = strings.Repeat("0", pad) + text
	}
	return []byte(text + at.Format("-01-02") + clock + era)
}
