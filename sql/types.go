package sql

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// SourceColumn is what the mapping needs to know of a PostgreSQL column.
type SourceColumn struct {
	Name     string
	TypeOID  uint32 // after domains are resolved to their base type; of an array, that of its elements
	TypeMod  int32  // pg_attribute.atttypmod, -1 for none
	TypeName string // as format_type prints it, for messages
	Enum     bool
	Array    bool // declared with one dimension
	NotNull  bool
	Key      bool // part of the table's key
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
	KindArray       // Array(Elem) of an array with one dimension that begins at 1, or with none
)

// Type is the ClickHouse type of a column and how PostgreSQL's text of it is read. Two types are the same when Name and
// Kind are.
type Type struct {
	Name     string // the whole type as ClickHouse prints it: "Nullable(Decimal(12, 2))"
	Kind     Kind
	Nullable bool

	Precision, Scale int   // of a Decimal; Scale is also the number of a DateTime64's digits
	Elem             *Type // of an Array

	// Lossy lets a Decimal round and a DateTime64 cut what it has no digits for, and an Array without elements stand for NULL.
	Lossy bool
	// OutOfRange says what becomes of a value beyond the type's range.
	OutOfRange OutOfRange

	// Zone is the zone of a DateTime64; of a Date or Date32 it is the zone in whose midnight the day begins.
	Zone *time.Location
}

// OutOfRange is what becomes of values beyond a type's range.
type OutOfRange string

// What may become of them. NaN has no nearest value, so Clamp refuses it.
const (
	RefuseOutOfRange OutOfRange = ""
	Clamp            OutOfRange = "clamp" // the nearest value of the type
	NullOutOfRange   OutOfRange = "null"
)

// Override is what the configuration says of a column's type.
type Override struct {
	Type       string // ClickHouse's; "" for the default
	Lossy      bool   // the type may be one that does not hold every value exactly
	OutOfRange OutOfRange
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
	oidOID         = 26
	oidFloat4      = 700
	oidFloat8      = 701
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidNumeric     = 1700
	oidUUID        = 2950
)

const (
	maxDecimalPrecision = 76 // ClickHouse's
	maxDigits           = 6  // of PostgreSQL's timestamps
)

// MapType returns the ClickHouse type of a PostgreSQL column: the smallest that holds every value exactly, or is checked
// value by value. zone is the configured source.time_zone ("" for none).
//
// A column that may be NULL is no Array by itself, because ClickHouse's Array has no NULL. Keys are compared in ClickHouse,
// so they have types whose equal values have equal texts, and no Array: floats (NaN, -0) stay text.
//
// A timestamp without zone is read in the zone of its ClickHouse type, which is named in the type so that ClickHouse
// shows the wall clock that PostgreSQL shows; without a configured zone that is UTC, its face value. Zones are checked
// against Go's zone database: a binary that must not depend on the machine's imports time/tzdata.
func MapType(c SourceColumn, zone string, o Override) (Type, error) {
	if zone == "" {
		zone = "UTC"
	}
	loc, err := loadZone(zone)
	if err != nil {
		return Type{}, fault.New("set source.time_zone to an IANA name like Europe/Berlin", "map column %s: %w", c.Name, err)
	}
	t, nullable := defaultType(c, loc), !c.NotNull
	if o.Type != "" {
		if t, nullable, err = overrideType(c, loc, o); err != nil {
			return Type{}, err
		}
	}
	if err := checkOutOfRange(c, t, o.OutOfRange); err != nil {
		return Type{}, err
	}
	return finish(t.withOutOfRange(o.OutOfRange), nullable || o.OutOfRange == NullOutOfRange), nil
}

// defaultType is the type without Nullable.
func defaultType(c SourceColumn, loc *time.Location) Type {
	switch {
	case c.Array && (!c.NotNull || c.Key || dotted(c.Name)), c.Key && isFloat(c.TypeOID):
		return Type{Kind: KindString}
	case c.Array:
		return arrayOf(elementType(c, loc))
	case c.Enum:
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
		return Type{Kind: KindTimestamp, Scale: maxDigits, Zone: loc}
	case oidTimestampTZ:
		return Type{Kind: KindTimestampTZ, Scale: maxDigits, Zone: time.UTC}
	case oidBytea:
		return Type{Kind: KindBytes}
	default:
		return Type{Kind: KindString}
	}
}

// dotted names of Arrays are columns of one Nested to ClickHouse, whose sizes must be equal.
func dotted(name string) bool { return strings.Contains(name, ".") }

func isFloat(oid uint32) bool { return oid == oidFloat4 || oid == oidFloat8 }

// elementType is that of an array's elements, any of which PostgreSQL lets be NULL. An enum's are plain: ClickHouse keeps
// one dictionary for an array's elements and their NULLs, which is not worth it.
func elementType(c SourceColumn, loc *time.Location) Type {
	c.Array, c.Key = false, false
	t := defaultType(c, loc)
	if t.Kind == KindLowCardinality {
		t.Kind = KindString
	}
	return finish(t, true)
}

func arrayOf(elem Type) Type { return Type{Kind: KindArray, Elem: &elem} }

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
	case t.Kind == KindArray: // it has no NULL
		t.Nullable = false
		t.Name = "Array(" + t.Elem.Name + ")"
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
		return fmt.Sprintf("DateTime64(%d, '%s')", t.Scale, t.Zone)
	case KindBytes:
		return kindNames[KindString]
	default:
		return kindNames[t.Kind]
	}
}
