package block

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tidemark-db/tidemark/sql"
)

// binary checks that PostgreSQL's binary format of the values does to a column what their text does.
func (tc roundTrip) binary(ctx context.Context, t *testing.T, pg *pgx.Conn, source sql.SourceColumn, typ sql.Type, texts []string) {
	t.Helper()
	form := sql.BinaryOf(source, typ)
	if form == sql.NoBinary {
		return
	}
	answer := pg.PgConn().ExecParams(ctx, tc.query(), nil, nil, nil, []int16{pgtype.BinaryFormatCode}).Read()
	must(t, answer.Err)
	if len(answer.Rows) != len(texts) {
		t.Fatalf("%d binary values, %d texts", len(answer.Rows), len(texts))
	}
	for i, row := range answer.Rows {
		sameAsText(t, form, typ, row[0], texts[i])
	}
}

// sameAsText appends a value in both forms, behind another one.
func sameAsText(t *testing.T, form sql.Binary, typ sql.Type, data []byte, text string) {
	t.Helper()
	var got, want *Builder
	for _, b := range []**Builder{&got, &want} {
		var err error
		*b, err = NewBuilder([]Column{{Name: "c", Type: typ, Binary: form}})
		must(t, err)
		(*b).AppendZero(0)
	}
	gotErr, wantErr := got.AppendBinary(0, data), want.AppendText(0, []byte(text))
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
		t.Errorf("binary %x: %v\ntext %q: %v", data, gotErr, text, wantErr)
	}
	g, w := &got.cols[0], &want.cols[0]
	if g.rows != w.rows || !bytes.Equal(g.data, w.data) || !bytes.Equal(g.nulls, w.nulls) || fmt.Sprint(g.ends, g.dict) != fmt.Sprint(w.ends, w.dict) {
		t.Errorf("binary %x is not text %q in %s: %x, %x", data, text, typ.Name, g.data, w.data)
	}
	if shown := got.Text(0, data); shown != text && form != sql.BinaryFloat {
		t.Errorf("binary %x is shown as %q, by PostgreSQL as %q", data, shown, text)
	}
}

// What a column refuses, clamps, rounds or makes NULL, it does so in either form.
func TestBinaryBeyondRange(t *testing.T) {
	ctx := testContext(t)
	pg := startPostgres(ctx, t)
	times := []string{"infinity", "-infinity", "1899-12-31 23:59:59.999999", "2300-01-01", "0044-03-15 12:00:00.5 BC", "294276-12-31 23:59:59.999999", "4713-01-01 BC", "0001-01-01", "10000-01-01"}
	dates := []string{"infinity", "-infinity", "1899-12-31", "2300-01-01", "0044-03-15 BC", "5874897-12-31", "1969-12-31", "2149-06-07"}
	for i, tc := range []roundTrip{
		{source: "bigint", override: "Int8", values: []string{"-129", "128", "9223372036854775807", "-9223372036854775808"}},
		{source: "integer", override: "UInt16", values: []string{"-1", "65536", "2147483647", "-2147483648"}},
		{source: "bigint", override: "UInt64", values: []string{"-1", "-9223372036854775808"}},
		{source: "numeric", override: "Decimal(4, 2)", values: []string{"NaN", "Infinity", "-Infinity", "100", "-99.995", "99.995", "0.001", "12.340000", "-0.005", "1e30", "99999999"}},
		{source: "numeric", override: "Decimal(38, 10)", values: []string{"12345678901234567890.5", "1e27", "1e28", "0.0000000001", "0.00000000001", "99990000"}},
		{source: "numeric", override: "Decimal(19, 0)", values: []string{"9999999999999999999", "10000000000000000000", "18446744073709551616", "9999000000000000000"}},
		{source: "timestamptz", values: times},
		{source: "timestamptz", override: "DateTime64(3, 'UTC')", values: []string{"1969-12-31 23:59:59.999999", "2024-01-01 00:00:00.0005"}},
		{source: "timestamp", values: times},
		{source: "timestamp", zone: "America/New_York", values: append([]string{"2024-03-10 02:30:00"}, times...)},
		{source: "date", values: dates},
		{source: "date", override: "Date", values: dates},
	} {
		t.Run(fmt.Sprintf("%s/%s/%s", tc.source, tc.zone, tc.override), func(t *testing.T) {
			column := tc.describe(ctx, t, pg, "beyond"+strconv.Itoa(i))
			texts := tc.texts(ctx, t, pg)
			for _, policy := range []sql.OutOfRange{sql.RefuseOutOfRange, sql.Clamp, sql.NullOutOfRange} {
				for _, lossy := range []bool{false, true} {
					typ, err := sql.MapType(column, tc.zone, sql.Override{Type: tc.override, Lossy: lossy, OutOfRange: policy})
					if err != nil {
						continue // there is no lossy form of most types
					}
					if sql.BinaryOf(column, typ) == sql.NoBinary {
						t.Fatal("its text is read alone")
					}
					tc.binary(ctx, t, pg, column, typ, texts)
				}
			}
		})
	}
}

// Bytes that PostgreSQL does not send are refused, and leave the column as it was.
func TestBinaryGarbage(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for form := sql.BinaryText; form <= sql.BinaryTimestampTZ; form++ {
		for kind, source := range garbageSources {
			source.NotNull = true
			typ, err := sql.MapType(source, "", sql.Override{})
			must(t, err)
			if typ.Kind != kind || sql.BinaryOf(source, typ) != form {
				continue
			}
			b, err := NewBuilder([]Column{{Name: "c", Type: typ, Binary: form}})
			must(t, err)
			for range 2000 {
				data := make([]byte, r.IntN(20))
				for i := range data {
					data[i] = byte(r.Uint32()) >> r.IntN(9)
				}
				rows, bytes := b.Rows(), b.Bytes()
				if err := b.AppendBinary(0, data); err != nil && (b.Rows() != rows || b.Bytes() != bytes) {
					t.Fatalf("%x was refused and left something: %v", data, err)
				}
				_ = b.Text(0, data)
			}
		}
	}
}

var garbageSources = map[sql.Kind]sql.SourceColumn{
	sql.KindBool: {TypeOID: oidBool}, sql.KindInt64: {TypeOID: oidInt8}, sql.KindFloat64: {TypeOID: oidFloat8}, sql.KindUUID: {TypeOID: oidUUID},
	sql.KindDecimal: {TypeOID: oidNumeric, TypeMod: 12<<16 | 2 + 4}, sql.KindDate32: {TypeOID: oidDate}, sql.KindTimestamp: {TypeOID: oidTimestamp},
	sql.KindTimestampTZ: {TypeOID: oidTimestampTZ}, sql.KindBytes: {TypeOID: oidBytea},
}
