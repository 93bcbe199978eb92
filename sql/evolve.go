package sql

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Added is a column that the internals get beside those that they have. Chunks that were written before have no value of
// it, and are never rewritten for it: Default is the expression of their rows' value, "" the default of the type.
type Added struct {
	Column
	Default string
}

// AddColumns returns the statements that add columns to the table's internals when missing. They change no chunk.
func (t *Table) AddColumns(added []Added) (out []Statement) {
	regions := []Region{Chunks, Empty, Changes} // Empty has no column that Chunks has not, whatever ends this between the two
	if t.Feed {
		regions = append(regions, "feed")
	}
	for _, r := range regions {
		out = append(out, render(t.Database, "add_columns.sql", map[string]any{"Name": t.internal(r), "Added": added}))
	}
	return append(out, t.dropRegionViews()...) // they are made anew with the columns that there are then
}

// FillEmpty returns the statement that gives the empty table columns that the chunks have.
func (t *Table) FillEmpty(missing []Added) Statement {
	return render(t.Database, "add_columns.sql", map[string]any{"Name": t.internal(Empty), "Added": missing})
}

// Constant renders a value, given as PostgreSQL's text, as a value of the type. It returns false for types of which that
// cannot be said exactly.
func Constant(t Type, text string) (string, bool) {
	switch t.Kind {
	case KindString, KindLowCardinality, KindUUID, KindDecimal,
		KindInt8, KindInt16, KindInt32, KindInt64, KindUInt8, KindUInt16, KindUInt32, KindUInt64:
		if t.Kind == KindDecimal && (!number.MatchString(text) || t.Lossy) {
			return "", false
		}
	case KindBool:
		text = strconv.FormatBool(text == "t")
	case KindBytes:
		digits, ok := strings.CutPrefix(text, `\x`)
		raw, err := hex.DecodeString(digits)
		if !ok || err != nil {
			return "", false
		}
		text = string(raw)
	case KindDate, KindDate32:
		if t.Kind == KindDate || !plainDate.MatchString(text) {
			return "", false
		}
	case KindTimestampTZ, KindTimestamp:
		if text = strings.TrimSuffix(text, "+00"); t.Zone != time.UTC || t.Lossy || !plainTime.MatchString(text) {
			return "", false
		}
	case KindFloat32, KindFloat64:
		return float(t, text)
	default:
		return "", false
	}
	return "CAST(unhex('" + hex.EncodeToString([]byte(text)) + "'), " + Literal(t.Name) + ")", true
}

// What ClickHouse reads as PostgreSQL prints it, within the range of every type of that kind.
var (
	number    = regexp.MustCompile(`^-?[0-9.]+$`)
	plainDate = regexp.MustCompile(`^(19|20|21)\d\d-\d\d-\d\d$`)
	plainTime = regexp.MustCompile(`^(19|20|21)\d\d-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?$`)
)

// float renders the bits of a number: ClickHouse does not read every decimal text as the nearest one.
func float(t Type, text string) (string, bool) {
	bits := 64
	if t.Kind == KindFloat32 {
		bits = 32
	}
	v, err := strconv.ParseFloat(text, bits)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return "", false
	}
	raw := binary.LittleEndian.AppendUint64(nil, math.Float64bits(v))
	if bits == 32 {
		raw = binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(v)))
	}
	return fmt.Sprintf("CAST(reinterpretAsFloat%d(unhex('%x')), %s)", bits, raw, Literal(t.Name)), true
}

// Converted renders the value of a column as a value of a wider type. It returns false where the types do not say that it
// stays the same for every value.
func Converted(from Column, to Type) (string, bool) {
	was := from.Type
	wider := was.Kind == to.Kind && (!was.Nullable || to.Nullable) && was.Lossy == to.Lossy && was.OutOfRange == to.OutOfRange && was.Zone == to.Zone
	switch was.Kind {
	case KindDecimal:
		wider = wider && was.Scale == to.Scale && was.Precision <= to.Precision
	case KindArray:
		wider = false // their elements may be others
	}
	return "CAST(" + Ident(from.Name) + ", " + Literal(to.Name) + ")", wider
}
