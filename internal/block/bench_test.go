package block

import (
	"strconv"
	"testing"

	"github.com/tidemark-db/tidemark/sql"
)

// benchmarkTypes is a row as a shop has it: 11 columns of most types.
func benchmarkTypes(tb testing.TB) []sql.Type {
	tb.Helper()
	var types []sql.Type
	for _, c := range []sql.SourceColumn{
		{TypeOID: oidInt8, NotNull: true},
		{TypeOID: oidInt4, NotNull: true},
		{TypeOID: oidInt4},
		{TypeOID: oidNumeric, TypeMod: 12<<16 | 2 + 4, NotNull: true},
		{TypeOID: oidTimestampTZ, NotNull: true},
		{TypeOID: oidTimestamp},
		{TypeOID: 99999, Enum: true, NotNull: true},
		{TypeOID: oidUUID, NotNull: true},
		{TypeOID: oidBool, NotNull: true},
		{TypeOID: oidText},
		{TypeOID: oidFloat8, NotNull: true},
	} {
		typ, err := sql.MapType(c, "Europe/Berlin", sql.Override{})
		if err != nil {
			tb.Fatal(err)
		}
		types = append(types, typ)
	}
	return types
}

var benchmarkStatuses = []string{"new", "paid", "shipped", "cancelled"}

func benchmarkRow(i int) [][]byte {
	return [][]byte{
		[]byte(strconv.Itoa(i)),
		[]byte(strconv.Itoa(i % 500)),
		[]byte(strconv.Itoa(i % 7)),
		[]byte(strconv.Itoa(i%10000) + ".95"),
		[]byte("2024-05-06 07:08:09.123456+00"),
		[]byte("2024-05-06 07:08:09.123456"),
		[]byte(benchmarkStatuses[i%4]),
		[]byte("01234567-89ab-cdef-0123-456789abcdef"),
		[]byte("t"),
		[]byte("note " + strconv.Itoa(i)),
		[]byte("3.14159"),
	}
}

func appendBenchmarkRow(tb testing.TB, b *Builder, i int) {
	for col, text := range benchmarkRow(i) {
		if err := b.AppendText(col, text); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkAppendText is the reading of text alone.
func BenchmarkAppendText(b *testing.B) {
	builder := builderOf(b, benchmarkTypes(b)...)
	rows := make([][][]byte, 1000)
	for i := range rows {
		rows[i] = benchmarkRow(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for col, text := range rows[i%len(rows)] {
			if err := builder.AppendText(col, text); err != nil {
				b.Fatal(err)
			}
		}
		if builder.Rows() == 50000 {
			builder.Reset()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkInsert is reading and sending to a table that keeps nothing, in blocks of 50,000 rows.
func BenchmarkInsert(b *testing.B) {
	const block = 50000
	ctx := b.Context()
	conn := startClickHouse(ctx, b)
	builder := builderOf(b, benchmarkTypes(b)...)
	createTable(ctx, b, conn, "sink", builder)
	must(b, conn.Exec(ctx, "CREATE TABLE nothing AS sink ENGINE = Null"))
	rows := make([][][]byte, 1000)
	for i := range rows {
		rows[i] = benchmarkRow(i)
	}
	for b.Loop() {
		builder.Reset()
		for i := range block {
			for col, text := range rows[i%len(rows)] {
				must(b, builder.AppendText(col, text))
			}
		}
		send(ctx, b, conn, "nothing", builder, 0)
	}
	b.ReportMetric(float64(b.N*block)/b.Elapsed().Seconds(), "rows/s")
}
