package sql_test

import (
	"strings"
	"testing"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/sql"
)

const (
	oidText      = 25
	oidNumeric   = 1700
	oidTimestamp = 1114
)

func numeric(precision, scale int32) int32 { return precision<<16 | scale&0x7ff + 4 }

func TestMapType(t *testing.T) {
	for _, tc := range []struct {
		name     string
		column   sql.SourceColumn
		zone     string
		override string
		want     string
		kind     sql.Kind
	}{
		{"bool", sql.SourceColumn{TypeOID: 16}, "", "", "Nullable(Bool)", sql.KindBool},
		{"smallint", sql.SourceColumn{TypeOID: 21, NotNull: true}, "", "", "Int16", sql.KindInt16},
		{"integer", sql.SourceColumn{TypeOID: 23, NotNull: true}, "", "", "Int32", sql.KindInt32},
		{"bigint", sql.SourceColumn{TypeOID: 20}, "", "", "Nullable(Int64)", sql.KindInt64},
		{"real", sql.SourceColumn{TypeOID: 700, NotNull: true}, "", "", "Float32", sql.KindFloat32},
		{"double", sql.SourceColumn{TypeOID: 701, NotNull: true}, "", "", "Float64", sql.KindFloat64},
		{"numeric", sql.SourceColumn{TypeOID: oidNumeric, TypeMod: -1}, "", "", "Nullable(String)", sql.KindString},
		{"numeric(12,2)", sql.SourceColumn{TypeOID: oidNumeric, TypeMod: numeric(12, 2)}, "", "", "Nullable(Decimal(12, 2))", sql.KindDecimal},
		{"numeric(76,76)", sql.SourceColumn{TypeOID: oidNumeric, TypeMod: numeric(76, 76), NotNull: true}, "", "", "Decimal(76, 76)", sql.KindDecimal},
		{"numeric(77,0)", sql.SourceColumn{TypeOID: oidNumeric, TypeMod: numeric(77, 0), NotNull: true}, "", "", "String", sql.KindString},
		{"numeric(5,-2)", sql.SourceColumn{TypeOID: oidNumeric, TypeMod: numeric(5, -2), NotNull: true}, "", "", "String", sql.KindString},
		{"numeric(2,5)", sql.SourceColumn{TypeOID: oidNumeric, TypeMod: numeric(2, 5), NotNull: true}, "", "", "String", sql.KindString},
		{"uuid", sql.SourceColumn{TypeOID: 2950, NotNull: true}, "", "", "UUID", sql.KindUUID},
		{"date", sql.SourceColumn{TypeOID: 1082, NotNull: true}, "Europe/Berlin", "", "Date32", sql.KindDate32},
		{"timestamp", sql.SourceColumn{TypeOID: oidTimestamp, NotNull: true}, "", "", "DateTime64(6, 'UTC')", sql.KindTimestamp},
		{"timestamp in zone", sql.SourceColumn{TypeOID: oidTimestamp}, "Europe/Berlin", "", "Nullable(DateTime64(6, 'Europe/Berlin'))", sql.KindTimestamp},
		{"timestamptz", sql.SourceColumn{TypeOID: 1184, NotNull: true}, "Europe/Berlin", "", "DateTime64(6, 'UTC')", sql.KindTimestampTZ},
		{"bytea", sql.SourceColumn{TypeOID: 17}, "", "", "Nullable(String)", sql.KindBytes},
		{"text", sql.SourceColumn{TypeOID: oidText, NotNull: true}, "", "", "String", sql.KindString},
		{"jsonb", sql.SourceColumn{TypeOID: 3802, NotNull: true}, "", "", "String", sql.KindString},
		{"an array of two dimensions", sql.SourceColumn{TypeOID: 1007, NotNull: true}, "", "", "String", sql.KindString},
		{"integer[]", sql.SourceColumn{TypeOID: 23, Array: true, NotNull: true}, "", "", "Array(Nullable(Int32))", sql.KindArray},
		{"integer[] that may be NULL", sql.SourceColumn{TypeOID: 23, Array: true}, "", "", "Nullable(String)", sql.KindString},
		{"key of integer[]", sql.SourceColumn{TypeOID: 23, Array: true, NotNull: true, Key: true}, "", "", "String", sql.KindString},
		{"integer[] in a Nested", sql.SourceColumn{Name: "a.b", TypeOID: 23, Array: true, NotNull: true}, "", "", "String", sql.KindString},
		{"enum[]", sql.SourceColumn{TypeOID: 99999, Enum: true, Array: true, NotNull: true}, "", "", "Array(Nullable(String))", sql.KindArray},
		{"numeric(12,2)[]", sql.SourceColumn{TypeOID: oidNumeric, TypeMod: numeric(12, 2), Array: true, NotNull: true}, "", "", "Array(Nullable(Decimal(12, 2)))", sql.KindArray},
		{"key of floats", sql.SourceColumn{TypeOID: 701, NotNull: true, Key: true}, "", "", "String", sql.KindString},
		{"enum", sql.SourceColumn{TypeOID: 99999, Enum: true, NotNull: true}, "", "", "LowCardinality(String)", sql.KindLowCardinality},
		{"nullable enum", sql.SourceColumn{TypeOID: 99999, Enum: true}, "", "", "LowCardinality(Nullable(String))", sql.KindLowCardinality},

		{"decimal", sql.SourceColumn{TypeOID: oidNumeric, TypeMod: -1}, "", " Decimal( 38,10 ) ", "Nullable(Decimal(38, 10))", sql.KindDecimal},
		{"text of a numeric", sql.SourceColumn{TypeOID: oidNumeric, TypeMod: numeric(12, 2), NotNull: true}, "", "String", "String", sql.KindString},
		{"unsigned", sql.SourceColumn{TypeOID: 20, NotNull: true}, "", "UInt32", "UInt32", sql.KindUInt32},
		{"face value", sql.SourceColumn{TypeOID: oidTimestamp, NotNull: true}, "Europe/Berlin", "DateTime64(6, 'UTC')", "DateTime64(6, 'UTC')", sql.KindTimestamp},
		{"instant shown elsewhere", sql.SourceColumn{TypeOID: 1184, NotNull: true}, "", "DateTime64(6,'Asia/Tokyo')", "DateTime64(6, 'Asia/Tokyo')", sql.KindTimestampTZ},
		{"low cardinality", sql.SourceColumn{TypeOID: oidText}, "", "LowCardinality(String)", "LowCardinality(Nullable(String))", sql.KindLowCardinality},
		{"small date", sql.SourceColumn{TypeOID: 1082}, "", "Date", "Nullable(Date)", sql.KindDate},
		{"nullable ahead of time", sql.SourceColumn{TypeOID: 20, NotNull: true}, "", "Nullable(Int64)", "Nullable(Int64)", sql.KindInt64},
		{"low cardinality ahead of time", sql.SourceColumn{TypeOID: oidText, NotNull: true}, "", "LowCardinality(Nullable(String))", "LowCardinality(Nullable(String))", sql.KindLowCardinality},
		{"array", sql.SourceColumn{TypeOID: 25, Array: true}, "", "Array( String )", "Array(String)", sql.KindArray},
		{"array of bytes", sql.SourceColumn{TypeOID: 17, Array: true}, "", "Array(Nullable(String))", "Array(Nullable(String))", sql.KindArray},
		{"text of an array of bytes", sql.SourceColumn{TypeOID: 17, Array: true, NotNull: true}, "", "String", "String", sql.KindString},
		{"array of small integers", sql.SourceColumn{TypeOID: 20, Array: true, NotNull: true}, "", "Array(UInt8)", "Array(UInt8)", sql.KindArray},
		{"oid", sql.SourceColumn{TypeOID: 26, NotNull: true}, "", "UInt32", "UInt32", sql.KindUInt32},
		{"milliseconds as declared", sql.SourceColumn{TypeOID: oidTimestamp, TypeMod: 3, NotNull: true}, "", "DateTime64(3, 'UTC')", "DateTime64(3, 'UTC')", sql.KindTimestamp},
		{"bytes stay bytes", sql.SourceColumn{TypeOID: 17, NotNull: true}, "", "String", "String", sql.KindBytes},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := sql.MapType(tc.column, tc.zone, sql.Override{Type: tc.override})
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != tc.want || got.Kind != tc.kind {
				t.Errorf("got %s of kind %d, want %s of kind %d", got.Name, got.Kind, tc.want, tc.kind)
			}
			if nullable := strings.Contains(tc.want, "Nullable") && got.Elem == nil; got.Nullable != nullable {
				t.Errorf("nullable is %v", got.Nullable)
			}
			if got.DateColumn() && got.Zone == nil {
				t.Error("a date column needs a zone")
			}
		})
	}
}

func TestMapTypeRefuses(t *testing.T) {
	for _, tc := range []struct {
		name           string
		column         sql.SourceColumn
		zone, override string
		message, try   string
	}{
		{"zone", sql.SourceColumn{TypeOID: oidTimestamp}, "Mars/Olympus", "", "Mars/Olympus", "source.time_zone"},
		{"the machine's zone", sql.SourceColumn{TypeOID: oidTimestamp}, "Local", "", `"Local"`, "source.time_zone"},
		{"hostile zone", sql.SourceColumn{TypeOID: oidTimestamp}, "UTC')", "", "no time zone name", "source.time_zone"},
		{"float for numeric", sql.SourceColumn{TypeOID: oidNumeric}, "", "Float64", "cannot hold the column exactly", "Decimal(p, s)"},
		{"unknown", sql.SourceColumn{TypeOID: oidText}, "", "JSON", "not a type", "LowCardinality(String)"},
		{"scale", sql.SourceColumn{TypeOID: oidNumeric}, "", "Decimal(10, 11)", "scale from 0", "Decimal(p, s)"},
		{"precision", sql.SourceColumn{TypeOID: oidNumeric}, "", "Decimal(77, 2)", "precision from 1 to 76", "Decimal(p, s)"},
		{"server's zone", sql.SourceColumn{TypeOID: oidTimestamp}, "", "DateTime64(6)", "a zone in quotes", "DateTime64(6, '<zone>')"},
		{"milliseconds", sql.SourceColumn{TypeOID: oidTimestamp, TypeMod: -1}, "", "DateTime64(3, 'UTC')", "cannot hold the column exactly", "DateTime64(6, '<zone>')"},
		{"type's zone", sql.SourceColumn{TypeOID: oidTimestamp}, "", "DateTime64(6, 'Nowhere')", "Nowhere", "DateTime64(6, '<zone>')"},
		{"integer for text", sql.SourceColumn{TypeOID: oidText}, "", "Int64", "cannot hold the column exactly", "String"},
		{"array for text", sql.SourceColumn{TypeOID: oidText}, "", "Array(String)", "not a type", "String"},
		{"integers for texts", sql.SourceColumn{TypeOID: oidText, Array: true}, "", "Array(Int64)", "cannot hold the column exactly", "Array(String)"},
		{"nullable array", sql.SourceColumn{TypeOID: oidText, Array: true}, "", "Nullable(Array(String))", "cannot be Nullable", "Array(String)"},
		{"dictionary in an array", sql.SourceColumn{TypeOID: oidText, Array: true}, "", "Array(LowCardinality(String))", "cannot hold", "Array(String)"},
		{"array as key", sql.SourceColumn{TypeOID: oidText, Array: true, Key: true}, "", "Array(String)", "cannot be a key", "String"},
		{"text after the type", sql.SourceColumn{TypeOID: 20}, "", "Int64) ENGINE = Log --", "not a type", "Int64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.column.Name, tc.column.TypeName = "price", "some type"
			_, err := sql.MapType(tc.column, tc.zone, sql.Override{Type: tc.override})
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tc.message) || !strings.Contains(err.Error(), "price") {
				t.Errorf("message %q lacks %q or the column", err, tc.message)
			}
			if try := fault.Try(err); !strings.Contains(try, tc.try) {
				t.Errorf("remedy %q lacks %q", try, tc.try)
			}
		})
	}
}

func FuzzMapTypeOverride(f *testing.F) {
	for _, s := range []string{"Decimal(10, 2)", "Nullable(UInt8)", "DateTime64(6, 'UTC')", "LowCardinality(Nullable(String))", "Nullable(", "DateTime64(6,'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, override string) {
		for _, oid := range []uint32{oidNumeric, oidTimestamp, oidText, 20, 1082} {
			column := sql.SourceColumn{Name: "c", TypeOID: oid, TypeMod: -1}
			got, err := sql.MapType(column, "", sql.Override{Type: override})
			if err != nil {
				continue
			}
			// What is accepted is written in ClickHouse's spelling, so it must map to itself.
			again, err := sql.MapType(column, "", sql.Override{Type: got.Name})
			if err != nil || again.Name != got.Name || again.Kind != got.Kind {
				t.Fatalf("%q became %s, which becomes %s, %v", override, got.Name, again.Name, err)
			}
		}
	})
}

// TestLossyOverrides: what cannot be exact is refused without the word, taken with it, and never for a key.
func TestLossyOverrides(t *testing.T) {
	for _, tc := range []struct {
		column sql.SourceColumn
		types  []string
	}{
		{sql.SourceColumn{TypeOID: oidNumeric, TypeMod: -1}, []string{"Float64", "Float32", "Nullable(Float64)"}},
		{sql.SourceColumn{TypeOID: 20}, []string{"Float64", "Float32"}},
		{sql.SourceColumn{TypeOID: 23}, []string{"Float32"}},
		{sql.SourceColumn{TypeOID: 701}, []string{"Float32"}},
		{sql.SourceColumn{TypeOID: oidTimestamp, TypeMod: -1}, []string{"DateTime64(0, 'UTC')", "DateTime64(3, 'UTC')"}},
		{sql.SourceColumn{TypeOID: oidNumeric, TypeMod: -1, Array: true}, []string{"Array(Float64)"}},
	} {
		for _, typ := range tc.types {
			c := tc.column
			c.Name = "price"
			_, err := sql.MapType(c, "", sql.Override{Type: typ})
			if err == nil || !strings.Contains(fault.Try(err), "lossy: true") || !strings.Contains(err.Error(), "price") {
				t.Errorf("%s: %v, try %s", typ, err, fault.Try(err))
			}
			if got, err := sql.MapType(c, "", sql.Override{Type: typ, Lossy: true}); err != nil || !strings.Contains(got.Name, strings.TrimSuffix(strings.TrimPrefix(typ, "Nullable("), ")")) {
				t.Errorf("%s, lossy: %s, %v", typ, got.Name, err)
			}
			c.Key = true
			if _, err := sql.MapType(c, "", sql.Override{Type: typ, Lossy: true}); err == nil {
				t.Errorf("a key became %s", typ)
			}
		}
	}
	if _, err := sql.MapType(sql.SourceColumn{TypeOID: oidText}, "", sql.Override{Type: "Int64", Lossy: true}); err == nil {
		t.Error("the word made an integer of text")
	}
}

func TestOutOfRangePolicies(t *testing.T) {
	for _, tc := range []struct {
		column sql.SourceColumn
		policy sql.OutOfRange
		want   string // "" is refused
	}{
		{sql.SourceColumn{TypeOID: 1082, NotNull: true}, sql.Clamp, "Date32"},
		{sql.SourceColumn{TypeOID: 1082, NotNull: true}, sql.NullOutOfRange, "Nullable(Date32)"},
		{sql.SourceColumn{TypeOID: 1082, Array: true, NotNull: true}, sql.NullOutOfRange, "Array(Nullable(Date32))"},
		{sql.SourceColumn{TypeOID: oidText}, sql.Clamp, ""},
		{sql.SourceColumn{TypeOID: oidNumeric, TypeMod: -1}, sql.NullOutOfRange, ""},
		{sql.SourceColumn{TypeOID: 701}, sql.Clamp, ""},
		{sql.SourceColumn{TypeOID: 1082, Key: true, NotNull: true}, sql.Clamp, ""},
	} {
		tc.column.Name = "until"
		got, err := sql.MapType(tc.column, "", sql.Override{OutOfRange: tc.policy})
		if got.Name != tc.want || (err == nil) != (tc.want != "") || err != nil && (fault.Try(err) == "" || !strings.Contains(err.Error(), "until")) {
			t.Errorf("%+v: %s, %v", tc, got.Name, err)
		}
	}
}

func TestParseCodec(t *testing.T) {
	for text, want := range map[string]string{
		"Delta,ZSTD(1)": "Delta, ZSTD(1)", " DoubleDelta ( 8 ) , LZ4HC(9)": "DoubleDelta(8), LZ4HC(9)", "NONE": "NONE",
		"": "", "Delta,": "", "delta": "", "ZSTD(1)) ENGINE = Log --": "", "ZSTD(a)": "", "AES_128_GCM_SIV": "",
	} {
		got, err := sql.ParseCodec("id", text)
		if got != want || (err == nil) != (want != "") || err != nil && !strings.Contains(fault.Try(err), "Delta") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
