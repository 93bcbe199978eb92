package block

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/sql"
)

// roundTrip is a PostgreSQL type and values of it: what ClickHouse gives back must be PostgreSQL's own text of them.
type roundTrip struct {
	source, zone, override string
	values                 []string // literals, as a person would write them
	random                 func(*rand.Rand) string
}

const randomValues = 500

func roundTrips() []roundTrip {
	digits := func(n int) string { return strings.Repeat("9", n) }
	integer := func(bits int) func(*rand.Rand) string {
		return func(r *rand.Rand) string { return strconv.FormatInt(int64(r.Uint64())>>(64-bits)>>r.IntN(bits), 10) }
	}
	decimal := func(whole, fraction int) func(*rand.Rand) string {
		return func(r *rand.Rand) string {
			s := []string{"", "-"}[r.IntN(2)] + randomDigits(r, whole)
			if fraction > 0 {
				s += "." + randomDigits(r, fraction)
			}
			return s
		}
	}
	moment := func(low, high int) func(*rand.Rand) string {
		first, last := civilDay(int64(low), 1, 1)*secondsPerDay, civilDay(int64(high), 1, 1)*secondsPerDay
		return func(r *rand.Rand) string {
			return wallText(time.UnixMicro((first+r.Int64N(last-first))*microsPerSecond + r.Int64N(microsPerSecond)).UTC())
		}
	}
	texts := []string{"", "a", "'quoted' \"twice\" `back` \\N \\", "Привет, 世界 🐘", "tab\there\nline", strings.Repeat("x", 127), strings.Repeat("y", 128), strings.Repeat("é", 70000)}
	return []roundTrip{
		{source: "smallint", values: []string{"-32768", "32767", "0", "-1"}, random: integer(16)},
		{source: "integer", values: []string{"-2147483648", "2147483647", "0"}, random: integer(32)},
		{source: "bigint", values: []string{"-9223372036854775808", "9223372036854775807", "0", "-1"}, random: integer(64)},
		{source: "bigint", override: "UInt64", values: []string{"0", "9223372036854775807"}},
		{source: "bigint", override: "Int8", values: []string{"-128", "127"}},
		{source: "bigint", override: "UInt8", values: []string{"0", "255"}},
		{source: "bigint", override: "UInt16", values: []string{"0", "65535"}},
		{source: "bigint", override: "UInt32", values: []string{"0", "4294967295"}},
		{source: "smallint", override: "Int64", values: []string{"-32768", "32767"}},
		{source: "bigint", override: "String", values: []string{"-9223372036854775808"}},
		{source: "real", values: []string{"0", "-0", "NaN", "Infinity", "-Infinity", "3.4028235e38", "1e-45", "1.1754944e-38", "0.1", "16777217"}, random: randomFloat(32)},
		{source: "double precision", values: []string{"0", "-0", "NaN", "Infinity", "-Infinity", "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "0.1", "9007199254740993", "1e23"}, random: randomFloat(64)},
		{source: "boolean", values: []string{"true", "false"}},
		{source: "numeric(9,0)", values: []string{"0", digits(9), "-" + digits(9)}, random: decimal(9, 0)},
		{source: "numeric(9,9)", values: []string{"0", "0." + digits(9), "-0.000000001"}, random: decimal(0, 9)},
		{source: "numeric(12,2)", values: []string{"0", "-0.01", "0.5", digits(10) + ".99"}, random: decimal(10, 2)},
		{source: "numeric(18,6)", values: []string{digits(12) + ".999999", "-" + digits(12) + ".999999"}, random: decimal(12, 6)},
		{source: "numeric(19,0)", values: []string{digits(19), "-" + digits(19)}, random: decimal(19, 0)},
		{source: "numeric(38,10)", values: []string{digits(28) + ".9999999999", "-" + digits(28) + ".9999999999", "-0.0000000001"}, random: decimal(28, 10)},
		{source: "numeric(39,1)", values: []string{digits(38) + ".9"}, random: decimal(38, 1)},
		{source: "numeric(76,38)", values: []string{digits(38) + "." + digits(38), "-" + digits(38) + "." + digits(38)}, random: decimal(38, 38)},
		{source: "numeric(76,76)", values: []string{"0." + digits(76), "-0." + digits(76)}, random: decimal(0, 76)},
		{source: "numeric", values: []string{"NaN", "Infinity", "-Infinity", "1.50", "0.000", digits(1000) + ".1"}, random: decimal(100, 20)},
		{source: "numeric(100,2)", values: []string{digits(98) + ".99"}},
		{source: "numeric(5,-2)", values: []string{"12345678"[:7], "-100"}},
		{source: "text", values: texts, random: randomText},
		{source: "text", override: "LowCardinality(String)", values: texts, random: randomText},
		{source: "varchar(10)", values: []string{"", "abc", "0123456789"}},
		{source: "char(5)", values: []string{"", "ab", "abcde"}},
		{source: "name", values: []string{"pg_class"}},
		{source: `"char"`, values: []string{"a"}},
		{source: "uuid", values: []string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "01234567-89ab-cdef-0123-456789abcdef"}, random: randomUUID},
		{source: "uuid", override: "String", values: []string{"01234567-89AB-cdef-0123-456789abcdef"}},
		{source: "date", values: []string{"1900-01-01", "1969-12-31", "1970-01-01", "2000-02-29", "2299-12-31"}, random: func(r *rand.Rand) string { return moment(1900, 2300)(r)[:10] }},
		{source: "date", override: "Date", values: []string{"1970-01-01", "2149-06-06"}},
		{source: "date", override: "String", values: []string{"infinity", "0044-03-15 BC", "5874897-12-31"}},
		{source: "timestamp", values: []string{"1900-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2262-04-11 23:47:16.854776", "2299-12-31 23:59:59.999999", "2024-02-29 12:34:56.7"}, random: moment(1900, 2300)},
		{source: "timestamp", zone: "America/New_York", values: []string{"2024-11-03 01:30:00.5", "2024-03-10 03:00:00", "2024-03-10 01:59:59.999999", "2299-12-31 18:59:59.999999"}, random: moment(2031, 2032)},
		{source: "timestamp", zone: "Europe/Berlin", values: []string{"1970-01-01 00:00:00", "2024-10-27 02:30:00"}, random: moment(1991, 2290)},
		{source: "timestamp", zone: "Asia/Kathmandu", values: []string{"1986-01-04 00:00:00", "2024-06-01 00:00:00.000001"}, random: moment(1990, 2290)},
		{source: "timestamp", zone: "Australia/Lord_Howe", values: []string{"2024-04-07 01:45:00"}, random: moment(2020, 2021)},
		{source: "timestamp", zone: "America/Sao_Paulo", values: []string{"2018-11-04 01:00:00", "2018-02-17 23:30:00"}},
		{source: "timestamp", zone: "Pacific/Apia", values: []string{"2011-12-29 23:59:59", "2011-12-31 00:00:00"}},
		{source: "timestamp", zone: "America/New_York", override: "DateTime64(6, 'UTC')", values: []string{"2024-03-10 02:30:00"}},
		{source: "timestamp(3)", values: []string{"2024-01-02 03:04:05.678"}},
		{source: "timestamp", override: "String", values: []string{"infinity", "294276-12-31 23:59:59.999999"}},
		{source: "timestamptz", values: []string{"1900-01-01 00:00:00+00", "2024-03-10 02:30:00-05", "2299-12-31 23:59:59.999999+00"}, random: moment(1900, 2300)},
		{source: "json", values: []string{`{"a": 1,  "a": 12345678901234567890.10}`}},
		{source: "jsonb", values: []string{`{"a": [1, null, "\u00e9"], "n": 1e400}`}},
		{source: "bytea", values: []string{"", `\x00`, `\x00ff5c27`, `\x` + strings.Repeat("00ff", 5000)}, random: func(r *rand.Rand) string { return `\x` + fmt.Sprintf("%016x", r.Uint64()) }},
		{source: "mood", values: []string{"happy", "it's \\ odd", ""}},
		{source: "amount", values: []string{"12.50"}},
		{source: "integer[]", values: []string{"{}", "{1,NULL,3}", "{NULL}"}, random: randomArray(integer(32))},
		{source: "bigint[]", override: "Array(Int64)", values: []string{"{}", "{-9223372036854775808,9223372036854775807}"}},
		{source: "integer[]", override: "String", values: []string{"{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:1]={5,6}"}},
		{source: "text[]", values: []string{`{"",NULL,"NULL",null,"a,b","\"\\","{}"," "}`}, random: randomArray(randomText)},
		{source: "numeric(12,2)[]", values: []string{"{1,-0.01}"}, random: randomArray(decimal(10, 2))},
		{source: "bytea[]", values: []string{`{"\\x00ff","\\x",NULL}`}},
		{source: "boolean[]", values: []string{"{t,f,NULL}"}},
		{source: "uuid[]", values: []string{"{00000000-0000-0000-0000-000000000001}"}, random: randomArray(randomUUID)},
		{source: "date[]", values: []string{"{1900-01-01,2299-12-31,NULL}"}},
		{source: "mood[]", values: []string{`{happy,"it's \\ odd","",NULL}`}},
		{source: "interval[]", values: []string{`{"1 year 2 mons",NULL}`}},
		{source: "pair[]", values: []string{`{"(1,\"a,b\")",NULL}`}},
		{source: "interval", values: []string{"1 year 2 mons -3 days 04:05:06.789"}},
		{source: "time", values: []string{"24:00:00", "12:34:56.789"}},
		{source: "timetz", values: []string{"12:34:56+05:30"}},
		{source: "inet", values: []string{"10.0.0.1/8", "::1"}},
		{source: "money", values: []string{"12.34"}},
		{source: "bit varying", values: []string{"10101"}},
		{source: "xml", values: []string{"<a>&amp;</a>"}},
		{source: "tsvector", values: []string{"a:1 'it''s':2"}},
		{source: "int4range", values: []string{"[1,5)", "empty"}},
		{source: "pair", values: []string{`(1,"a,b")`}},
	}
}

// randomArray has up to four elements, some of them NULL.
func randomArray(elem func(*rand.Rand) string) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		elements := make([]string, r.IntN(5))
		for i := range elements {
			elements[i] = "NULL"
			if r.IntN(4) > 0 {
				elements[i] = `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(elem(r)) + `"`
			}
		}
		return "{" + strings.Join(elements, ",") + "}"
	}
}

func randomDigits(r *rand.Rand, n int) string {
	if n == 0 {
		return "0"
	}
	s := make([]byte, 1+r.IntN(n))
	for i := range s {
		s[i] = byte('0' + r.IntN(10))
	}
	return string(s)
}

func randomFloat(bits int) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		v := math.Float64frombits(r.Uint64())
		if bits == 32 {
			v = float64(math.Float32frombits(r.Uint32()))
		}
		return strconv.FormatFloat(v, 'g', -1, bits)
	}
}

func randomText(r *rand.Rand) string {
	runes := make([]rune, r.IntN(20))
	for i := range runes {
		runes[i] = []rune("ab\\'\"\t\n\r0é世🐘\x01")[r.IntN(13)]
	}
	return string(runes)
}

func randomUUID(r *rand.Rand) string {
	a, b := r.Uint64(), r.Uint64()
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff)
}

func TestRoundTripThroughBothServers(t *testing.T) {
	ctx := testContext(t)
	pg, ch := startPostgres(ctx, t), startClickHouse(ctx, t)
	for _, ddl := range []string{
		`CREATE TYPE mood AS ENUM ('happy', 'it''s \ odd', '')`,
		`CREATE DOMAIN amount AS numeric(8,2)`,
		`CREATE TYPE pair AS (a int, b text)`,
	} {
		_, err := pg.Exec(ctx, ddl)
		must(t, err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i, tc := range roundTrips() {
		for range randomValues {
			if tc.random != nil {
				tc.values = append(tc.values, tc.random(r))
			}
		}
		t.Run(fmt.Sprintf("%s/%s/%s", tc.source, tc.zone, tc.override), func(t *testing.T) {
			tc.run(ctx, t, pg, ch, "t"+strconv.Itoa(i))
		})
	}
}

// run sends each value twice, in a NOT NULL column and in a nullable one where every other row is NULL, in two blocks.
func (tc roundTrip) run(ctx context.Context, t *testing.T, pg *pgx.Conn, ch driver.Conn, table string) {
	column := tc.describe(ctx, t, pg, table)
	column.NotNull = true
	plain, err := sql.MapType(column, tc.zone, sql.Override{Type: tc.override})
	must(t, err)
	column.NotNull = false // which makes text of an array
	nullable, err := sql.MapType(column, tc.zone, sql.Override{Type: tc.override})
	must(t, err)
	b := builderOf(t, plain, nullable)
	createTable(ctx, t, ch, table, b)

	texts := tc.texts(ctx, t, pg)
	tc.binary(ctx, t, pg, column, nullable, texts)
	var sent []string
	for i, text := range texts {
		if err := b.AppendText(0, []byte(text)); err != nil {
			if tc.zone != "" && i >= len(tc.values)-randomValues {
				continue // a random wall clock may fall into a gap
			}
			t.Fatal(err)
		}
		sent = append(sent, text)
		if len(sent)%2 == 0 && nullable.Nullable {
			must(t, b.AppendNull(1))
		} else {
			must(t, b.AppendText(1, []byte(text)))
		}
		if len(sent) == len(texts)/2 {
			send(ctx, t, ch, table, b, 0)
			b.Reset()
		}
	}
	send(ctx, t, ch, table, b, len(sent)-b.Rows())
	compare(ctx, t, ch, table, plain, nullable, sent)
}

// describe reads the catalogue's view of the type, as the bridge does.
func (tc roundTrip) describe(ctx context.Context, t *testing.T, pg *pgx.Conn, table string) sql.SourceColumn {
	t.Helper()
	_, err := pg.Exec(ctx, "CREATE TABLE "+table+" (c "+tc.source+")")
	must(t, err)
	c := sql.SourceColumn{Name: "c", TypeName: tc.source}
	var kind string
	must(t, pg.QueryRow(ctx, `
		SELECT CASE WHEN typtype = 'd' THEN typbasetype WHEN typcategory = 'A' THEN typelem ELSE t.oid END,
			CASE typtype WHEN 'd' THEN typtypmod ELSE atttypmod END, typtype::text, typcategory = 'A'
		FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid WHERE attrelid = $1::regclass AND attname = 'c'`, table).
		Scan(&c.TypeOID, &c.TypeMod, &kind, &c.Array))
	c.Enum = kind == "e"
	return c
}

// texts returns PostgreSQL's text output of the values, which is what COPY and the stream carry: the simple protocol's
// raw values.
func (tc roundTrip) texts(ctx context.Context, t *testing.T, pg *pgx.Conn) []string {
	t.Helper()
	rows, err := pg.Query(ctx, tc.query())
	must(t, err)
	texts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		return string(row.RawValues()[0]), nil
	})
	must(t, err)
	return texts
}

func (tc roundTrip) query() string {
	var b strings.Builder
	for i, v := range tc.values {
		if i > 0 {
			b.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&b, "SELECT %d AS i, '%s'::%s AS v", i, strings.ReplaceAll(v, "'", "''"), tc.source)
	}
	return "SELECT v FROM (" + b.String() + ") q ORDER BY i"
}

// textIn is PostgreSQL's text of a value, written by ClickHouse.
func textIn(typ sql.Type, column string) string {
	switch typ.Kind {
	case sql.KindBool:
		return "if(" + column + ", 't', 'f')"
	case sql.KindBytes:
		return `concat('\\x', lower(hex(` + column + ")))"
	case sql.KindDecimal:
		return fmt.Sprintf("toDecimalString(%s, %d)", column, typ.Scale)
	case sql.KindTimestampTZ:
		return "concat(toString(" + column + "), '+00')"
	case sql.KindArray:
		return arrayIn(typ, column)
	default:
		return "toString(" + column + ")"
	}
}

// arrayIn writes an array as PostgreSQL does: what could be taken for something else in quotes.
func arrayIn(typ sql.Type, column string) string {
	text := textIn(*typ.Elem, "assumeNotNull(x)")
	quoted := `concat('"', replaceRegexpAll(` + text + `, '(["\\\\])', '\\\\\\1'), '"')`
	return "concat('{', arrayStringConcat(arrayMap(x -> multiIf(isNull(x), 'NULL', match(" + text + `, '^$|[{}",\\\\\\x09-\\x0d ]|^(?i)null$'), ` + quoted + ", " + text + "), " + column + "), ','), '}')"
}

func compare(ctx context.Context, t *testing.T, ch driver.Conn, table string, typ, typ2 sql.Type, want []string) {
	t.Helper()
	rows, err := ch.Query(ctx, fmt.Sprintf("SELECT _i, %s, %s, isNull(c1), _chunk FROM %s ORDER BY _i",
		textIn(typ, "c0"), textIn(typ2, "assumeNotNull(c1)"), table))
	must(t, err)
	defer func() { _ = rows.Close() }()
	n := 0
	for ; rows.Next(); n++ {
		var (
			i             uint64
			plain, second string
			null, chunk   uint8
		)
		must(t, rows.Scan(&i, &plain, &second, &null, &chunk))
		if i != uint64(n) || chunk != 7 || (null == 1) != (n%2 == 1 && typ2.Nullable) {
			t.Fatalf("row %d came back as %d with NULL %d and chunk %d", n, i, null, chunk)
		}
		if !sameText(typ, plain, want[n]) || (null == 0 && !sameText(typ2, second, want[n])) {
			t.Errorf("PostgreSQL has %.100q, ClickHouse %.100q and %.100q", want[n], plain, second)
		}
	}
	must(t, rows.Err())
	if n != len(want) {
		t.Errorf("%d rows came back of %d", n, len(want))
	}
}

// sameText allows what differs in writing alone: a float's exponent, the zeros at a timestamp's end.
func sameText(typ sql.Type, got, want string) bool {
	switch typ.Kind {
	case sql.KindFloat32:
		return sameFloat(got, want, 32)
	case sql.KindFloat64:
		return sameFloat(got, want, 64)
	case sql.KindTimestamp:
		return got == sixDigits(want)
	case sql.KindTimestampTZ:
		return got == sixDigits(strings.TrimSuffix(want, "+00"))+"+00"
	default:
		return got == want
	}
}

func sameFloat(got, want string, bits int) bool {
	g, err := strconv.ParseFloat(got, bits)
	if err != nil {
		return false
	}
	w, err := strconv.ParseFloat(want, bits)
	return err == nil && (math.Float64bits(g) == math.Float64bits(w) || math.IsNaN(g) && math.IsNaN(w))
}

func sixDigits(timestamp string) string {
	whole, fraction, _ := strings.Cut(timestamp, ".")
	return whole + "." + fraction + strings.Repeat("0", 6-len(fraction))
}
