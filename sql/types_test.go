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
		{"integer[]", sql.SourceColumn{TypeOID: 1007, NotNull: true}, "", "", "String", sql.KindString},
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
		{"bytes stay bytes", sql.SourceColumn{TypeOID: 17, NotNull: true}, "", "String", "String", sql.KindBytes},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := sql.MapType(tc.column, tc.zone, tc.override)
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != tc.want || got.Kind != tc.kind {
				t.Errorf("got %s of kind %d, want %s of kind %d", got.Name, got.Kind, tc.want, tc.kind)
			}
			if nullable := strings.Contains(tc.want, "Nullable"); got.Nullable != nullable {
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
		{"milliseconds", sql.SourceColumn{TypeOID: oidTimestamp}, "", "DateTime64(3, 'UTC')", "needs 6 digits", "DateTime64(6, '<zone>')"},
		{"type's zone", sql.SourceColumn{TypeOID: oidTimestamp}, "", "DateTime64(6, 'Nowhere')", "Nowhere", "DateTime64(6, '<zone>')"},
		{"integer for text", sql.SourceColumn{TypeOID: oidText}, "", "Int64", "cannot hold the column exactly", "String"},
		{"text after the type", sql.SourceColumn{TypeOID: 20}, "", "Int64) ENGINE = Log --", "not a type", "Int64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.column.Name, tc.column.TypeName = "price", "some type"
			_, err := sql.MapType(tc.column, tc.zone, tc.override)
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
			got, err := sql.MapType(column, "", override)
			if err != nil {
				continue
			}
			// What is accepted is written in ClickHouse's spelling, so it must map to itself.
			again, err := sql.MapType(column, "", got.Name)
			if err != nil || again.Name != got.Name || again.Kind != got.Kind {
				t.Fatalf("%q became %s, which becomes %s, %v", override, got.Name, again.Name, err)
			}
		}
	})
}
