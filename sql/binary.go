package sql

// Binary is the form in which PostgreSQL's binary format carries a column's values, where internal/block reads it as exactly
// as their text. The forms are those of the send functions of the built-in types (src/backend/utils/adt).
type Binary uint8

// The forms.
const (
	NoBinary          Binary = iota // only the text of these values is read
	BinaryText                      // the text itself
	BinaryJSONB                     // a version, which is 1, and the text
	BinaryBytes                     // the bytes of a bytea
	BinaryBool                      // a byte
	BinaryInt                       // two, four or eight bytes
	BinaryFloat                     // four or eight bytes, as IEEE 754 has them
	BinaryNumeric                   // digits to the base 10,000
	BinaryUUID                      // 16 bytes
	BinaryDate                      // days since 2000-01-01
	BinaryTimestamp                 // microseconds since 2000-01-01 00:00, of a wall clock
	BinaryTimestampTZ               // the same of UTC
)

// OIDs of types whose binary form is their text, or nearly so.
const (
	oidName    = 19
	oidText    = 25
	oidJSON    = 114
	oidBPChar  = 1042
	oidVarchar = 1043
	oidJSONB   = 3802
)

// BinaryOf returns the form in which a column's values can be read into its ClickHouse type. A type that keeps PostgreSQL's
// text of something else than text has none, nor has an array.
func BinaryOf(c SourceColumn, t Type) Binary {
	if c.Array {
		return NoBinary
	}
	switch t.Kind {
	case KindString, KindLowCardinality:
		return textForm(c)
	case KindBytes:
		return BinaryBytes
	case KindInt8, KindInt16, KindInt32, KindInt64, KindUInt8, KindUInt16, KindUInt32, KindUInt64:
		if c.TypeOID == oidInt2 || c.TypeOID == oidInt4 || c.TypeOID == oidInt8 {
			return BinaryInt
		}
		return NoBinary
	}
	return sameKind[binaryPair{c.TypeOID, t.Kind}]
}

type binaryPair struct {
	oid  uint32
	kind Kind
}

var sameKind = map[binaryPair]Binary{
	{oidBool, KindBool}:               BinaryBool,
	{oidFloat4, KindFloat32}:          BinaryFloat,
	{oidFloat8, KindFloat64}:          BinaryFloat,
	{oidNumeric, KindDecimal}:         BinaryNumeric,
	{oidUUID, KindUUID}:               BinaryUUID,
	{oidDate, KindDate}:               BinaryDate,
	{oidDate, KindDate32}:             BinaryDate,
	{oidTimestamp, KindTimestamp}:     BinaryTimestamp,
	{oidTimestampTZ, KindTimestampTZ}: BinaryTimestampTZ,
}

func textForm(c SourceColumn) Binary {
	switch {
	case c.Enum:
		return BinaryText
	case c.TypeOID == oidJSONB:
		return BinaryJSONB
	}
	switch c.TypeOID {
	case oidName, oidText, oidJSON, oidBPChar, oidVarchar:
		return BinaryText
	}
	return NoBinary
}
