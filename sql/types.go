package sql

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// SourceColumn is what the mapping needs to know of a PostgreSQL column.
type SourceColumn struct {
	Name     string
	TypeOID  uint32 // after domains are resolved to their base type
	TypeMod  int32  // pg_attribute.atttypmod, -1 for none
	TypeName string // as format_type prints it, for messages
	Enum     bool
	NotNull  bool
}

// Kind says how PostgreSQL's text of a value is read and what ClickHouse stores for it.
type Kind uint8

// The kinds. What each accepts is what the block builder checks; nothing is ever rounded, clamped or wrapped.
const (
	KindString         Kind = iota + 1 // String: the text itself
	KindBytes                          // String: the bytes of a bytea, decoded from hex
	KindLowCardinality                 // LowCardinality(String): the text itself
	KindBool
	KindInt8
	KindInt16
	KindInt32
	KindInt64
	KindUInt8
	KindUInt16
	KindUInt32
	KindUInt64
	KindFloat32
	KindFloat64
	KindDecimal
	KindUUID
	KindDate        // Date: days as UInt16
	KindDate32      // Date32
	KindTimestamp   // DateTime64(6, zone) of a wall clock that is read in Zone
	KindTimestampTZ // DateTime64(6, zone) of an instant; Zone only shows it
)

// Type is the ClickHouse type of a column and how PostgreSQL's text of it is read. Two types are the same when Name and
// Kind are.
type Type struct {
	Name     string // the whole type as ClickHouse prints it: "Nullable(Decimal(12, 2))"
	Kind     Kind
	Nullable bool

	Precision, Scale int // of a Decimal

	// Zone is the zone of a DateTime64; of a Date or Date32 it is the zone in whose midnight the day begins.
	Zone *time.Location
}

// DateColumn says whether a column of this type can be a table's date column.
func (t Type) DateColumn() bool {
	switch t.Kind {
	case KindTimestamp, KindTimestampTZ, KindDate, KindDate32:
		return true
	default:
		return false
	}
}

// OIDs of the built-in PostgreSQL types that have a ClickHouse type of their own; they never change.
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidFloat4      = 700
	oidFloat8      = 701
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidNumeric     = 1700
	oidUUID        = 2950
)

// maxDecimalPrecision is ClickHouse's.
const maxDecimalPrecision = 76

// MapType returns the ClickHouse type of a PostgreSQL column: the smallest that holds every value exactly. zone is the
// configured source.time_zone ("" for none), override the configured type of this column ("" for none).
//
// A timestamp without zone is read in the zone of its ClickHouse type, which is named in the type so that ClickHouse
// shows the wall clock that PostgreSQL shows; without a configured zone that is UTC, its face value. Zones are checked
// against Go's zone database: a binary that must not depend on the machine's imports time/tzdata.
func MapType(c SourceColumn, zone, override string) (Type, error) {
	if zone == "" {
		zone = "UTC"
	}
	loc, err := loadZone(zone)
	if err != nil {
		return Type{}, fault.New("set source.time_zone to an IANA name like Europe/Berlin", "map column %s: %w", c.Name, err)
	}
	if override != "" {
		return overrideType(c, loc, override)
	}
	return finish(defaultType(c, loc), !c.NotNull), nil
}

// defaultType is the type without Nullable.
func defaultType(c SourceColumn, loc *time.Location) Type {
	if c.Enum {
		return Type{Kind: KindLowCardinality}
	}
	switch c.TypeOID {
	case oidBool:
		return Type{Kind: KindBool}
	case oidInt2:
		return Type{Kind: KindInt16}
	case oidInt4:
		return Type{Kind: KindInt32}
	case oidInt8:
		return Type{Kind: KindInt64}
	case oidFloat4:
		return Type{Kind: KindFloat32}
	case oidFloat8:
		return Type{Kind: KindFloat64}
	case oidNumeric:
		return numericType(c.TypeMod)
	case oidUUID:
		return Type{Kind: KindUUID}
	case oidDate:
		return Type{Kind: KindDate32, Zone: loc}
	case oidTimestamp:
		return Type{Kind: KindTimestamp, Zone: loc}
	case oidTimestampTZ:
		return Type{Kind: KindTimestampTZ, Zone: time.UTC}
	case oidBytea:
		return Type{Kind: KindBytes}
	default:
		return Type{Kind: KindString}
	}
}

// numericType reads numeric's type modifier: precision in the high half, scale as 11 signed bits, both after an offset
// of 4. What no Decimal can be declared for stays PostgreSQL's text.
func numericType(typmod int32) Type {
	const header = 4
	if typmod < header {
		return Type{Kind: KindString}
	}
	precision := int((typmod - header) >> 16 & 0xffff)
	scale := int((typmod-header)&0x7ff^0x400) - 0x400
	if scale < 0 || scale > precision || precision > maxDecimalPrecision {
		return Type{Kind: KindString}
	}
	return Type{Kind: KindDecimal, Precision: precision, Scale: scale}
}

// loadZone refuses what time.LoadLocation takes for the machine's zone, and any name that is not safe inside a type.
func loadZone(name string) (*time.Location, error) {
	safe := strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/_+-", r)
	}) < 0
	if name == "" || name == "Local" || !safe {
		return nil, fmt.Errorf("%q is no time zone name", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("load time zone: %w", err)
	}
	return loc, nil
}

// choices are the overrides that hold every value of a source type exactly, or are checked value by value.
type choices struct {
	what  string // for the message
	names []string
}

const (
	anyDecimal = "Decimal(p, s)"
	anyZone    = "DateTime64(6, '<zone>')"
)

func overridesOf(c SourceColumn) choices {
	if c.Enum {
		return choices{"an enum", []string{"LowCardinality(String)", "String"}}
	}
	switch c.TypeOID {
	case oidInt2, oidInt4, oidInt8:
		return choices{"an integer", []string{"Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "String"}}
	case oidNumeric:
		return choices{"a numeric", []string{anyDecimal, "String"}}
	case oidTimestamp, oidTimestampTZ:
		return choices{"a timestamp", []string{anyZone, "String"}}
	case oidDate:
		return choices{"a date", []string{"Date32", "Date", "String"}}
	case oidBool:
		return choices{"a boolean", []string{"Bool", "String"}}
	case oidFloat4:
		return choices{"a real", []string{"Float32", "String"}}
	case oidFloat8:
		return choices{"a double precision", []string{"Float64", "String"}}
	case oidUUID:
		return choices{"a uuid", []string{"UUID", "String"}}
	case oidBytea:
		return choices{"a bytea", []string{"String"}}
	default:
		return choices{"text", []string{"String", "LowCardinality(String)"}}
	}
}

func (ch choices) has(name string) bool {
	for _, n := range ch.names {
		if n == name {
			return true
		}
	}
	return false
}

// overrideType takes Nullable(…) on a NOT NULL column too: it is how one prepares for a later DROP NOT NULL.
func overrideType(c SourceColumn, loc *time.Location, text string) (Type, error) {
	ch := overridesOf(c)
	refuse := func(why string) error {
		return fault.New("use one of "+strings.Join(ch.names, ", ")+", or remove the entry",
			"type %q of column %s: %s, which is %s in PostgreSQL (%s)", text, c.Name, why, ch.what, c.TypeName)
	}
	base, nullable := unwrapNullable(compact(text))
	t, form, err := parseType(base)
	if err != nil {
		return Type{}, refuse(err.Error())
	}
	if !ch.has(form) {
		return Type{}, refuse("cannot hold the column exactly")
	}
	return finish(fitSource(t, c, loc), nullable || !c.NotNull), nil
}

// fitSource completes a parsed type with what only the source column tells.
func fitSource(t Type, c SourceColumn, loc *time.Location) Type {
	switch {
	case t.Kind == KindTimestamp && c.TypeOID == oidTimestampTZ:
		t.Kind = KindTimestampTZ
	case t.Kind == KindString && c.TypeOID == oidBytea:
		t.Kind = KindBytes
	case t.Kind == KindDate, t.Kind == KindDate32:
		t.Zone = loc
	}
	return t
}

// compact drops white space, which no accepted type needs.
func compact(text string) string { return strings.Join(strings.Fields(text), "") }

// unwrapNullable takes Nullable off X, from Nullable(X) and from LowCardinality(Nullable(X)).
func unwrapNullable(text string) (base string, nullable bool) {
	if inner, ok := unwrap(text, "Nullable"); ok {
		return inner, true
	}
	if inner, ok := unwrap(text, "LowCardinality"); ok {
		if inner, ok = unwrap(inner, "Nullable"); ok {
			return "LowCardinality(" + inner + ")", true
		}
	}
	return text, false
}

func unwrap(text, name string) (string, bool) {
	inner, ok := strings.CutPrefix(text, name+"(")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(inner, ")")
}

// parseType reads a type without white space and without Nullable; form is its entry in choices.
func parseType(text string) (t Type, form string, err error) {
	if args, ok := unwrap(text, "Decimal"); ok {
		t, err = parseDecimalType(args)
		return t, anyDecimal, err
	}
	if args, ok := unwrap(text, "DateTime64"); ok {
		t, err = parseTimeType(args)
		return t, anyZone, err
	}
	for kind, name := range kindNames {
		if name == text {
			return Type{Kind: kind}, name, nil
		}
	}
	return Type{}, "", fmt.Errorf("is not a type that tidemark writes")
}

func parseDecimalType(args string) (Type, error) {
	p, s, _ := strings.Cut(args, ",")
	precision, err := strconv.Atoi(p)
	if err != nil || precision < 1 || precision > maxDecimalPrecision {
		return Type{}, fmt.Errorf("needs a precision from 1 to %d", maxDecimalPrecision)
	}
	scale, err := strconv.Atoi(s)
	if err != nil || scale < 0 || scale > precision {
		return Type{}, fmt.Errorf("needs a scale from 0 to its precision")
	}
	return Type{Kind: KindDecimal, Precision: precision, Scale: scale}, nil
}

func parseTimeType(args string) (Type, error) {
	digits, quoted, _ := strings.Cut(args, ",")
	zone, ok := strings.CutPrefix(quoted, "'")
	if ok {
		zone, ok = strings.CutSuffix(zone, "'")
	}
	if digits != "6" || !ok {
		return Type{}, fmt.Errorf("needs 6 digits and a zone in quotes")
	}
	loc, err := loadZone(zone)
	if err != nil {
		return Type{}, err
	}
	return Type{Kind: KindTimestamp, Zone: loc}, nil
}

// kindNames are the types that have no parameters.
var kindNames = map[Kind]string{
	KindString:         "String",
	KindLowCardinality: "LowCardinality(String)",
	KindBool:           "Bool",
	KindInt8:           "Int8",
	KindInt16:          "Int16",
	KindInt32:          "Int32",
	KindInt64:          "Int64",
	KindUInt8:          "UInt8",
	KindUInt16:         "UInt16",
	KindUInt32:         "UInt32",
	KindUInt64:         "UInt64",
	KindFloat32:        "Float32",
	KindFloat64:        "Float64",
	KindUUID:           "UUID",
	KindDate:           "Date",
	KindDate32:         "Date32",
}

// finish writes the type's name.
func finish(t Type, nullable bool) Type {
	t.Nullable = nullable
	switch {
	case t.Kind == KindLowCardinality && nullable: // the one type that takes Nullable inside
		t.Name = "LowCardinality(Nullable(String))"
	case nullable:
		t.Name = "Nullable(" + baseName(t) + ")"
	default:
		t.Name = baseName(t)
	}
	return t
}

func baseName(t Type) string {
	switch t.Kind {
	case KindDecimal:
		return fmt.Sprintf("Decimal(%d, %d)", t.Precision, t.Scale)
	case KindTimestamp, KindTimestampTZ:
		return fmt.Sprintf("DateTime64(6, '%s')", t.Zone)
	case KindBytes:
		return kindNames[KindString]
	default:
		return kindNames[t.Kind]
	}
}
