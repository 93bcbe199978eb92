package e2e

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// typeCase is a PostgreSQL type, the ClickHouse types that a column of it gets, and values of it. The expected types are
// the table of docs/types.md.
type typeCase struct {
	source    string
	target    string   // of a NOT NULL column; that of a nullable one is Nullable(target)
	nullable  string   // where that is another
	values    []string // literals as a person would write them; every one is held exactly
	odd       []string // values that only the nullable column gets
	random    func(*rand.Rand) string
	override  string // types: …, as the configuration has it
	policy    string // out_of_range: …
	effective string // what the views show, as an expression of the value %s; the value itself when empty
	since     int    // the first version of PostgreSQL that has it
}

// typeSetup makes the types that are none of PostgreSQL's own.
var typeSetup = []string{
	"CREATE EXTENSION hstore", "CREATE EXTENSION citext",
	`CREATE TYPE mood AS ENUM ('happy', 'it''s \ odd', '')`,
	"CREATE DOMAIN amount AS numeric(8, 2)", "CREATE DOMAIN gross AS amount CHECK (VALUE >= 0)", "CREATE DOMAIN digits AS smallint[]",
	"CREATE TYPE pair AS (a int, b text)",
}

var (
	someTexts = []string{"", "a", "'quoted' \"twice\" `back` \\N \\", "NULL", "null", `\N`, "Привет, 世界 🐘", "tab\there\nline\r\v\f", strings.Repeat("é", 70000), "{}", "?", "$1", "\x01\x7f"}
	dates     = []string{"1900-01-01", "1969-12-31", "1970-01-01", "2000-02-29", "2299-12-31"}
	oddDates  = []string{"infinity", "-infinity", "0001-01-01", "4713-01-01 BC", "9999-12-31", "5874897-12-31", "1899-12-31", "2300-01-01"}
	times     = []string{"1900-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2262-04-11 23:47:16.854776", "2299-12-31 23:59:59.999999", "2024-02-29 12:34:56.7"}
	oddTimes  = []string{"infinity", "-infinity", "0001-01-01 00:00:00", "4713-01-01 00:00:00 BC", "9999-12-31 23:59:59.999999", "294276-12-31 23:59:59.999999", "1899-12-31 23:59:59.999999", "2300-01-01 00:00:00"}
)

func typeCases() []typeCase {
	nines := func(n int) string { return strings.Repeat("9", n) }
	return append([]typeCase{
		{source: "smallint", target: "Int16", values: []string{"-32768", "32767", "0"}, random: anInteger(16)},
		{source: "integer", target: "Int32", values: []string{"-2147483648", "2147483647", "0"}, random: anInteger(32)},
		{source: "bigint", target: "Int64", values: []string{"-9223372036854775808", "9223372036854775807", "0"}, random: anInteger(64)},
		{source: "bigint", target: "UInt8", override: "UInt8", policy: "clamp", values: []string{"0", "255"}, odd: []string{"-1", "256", "-9223372036854775808"}, effective: "least(greatest(%s, 0), 255)"},
		{source: "oid", target: "String", values: []string{"0", "4294967295"}},
		{source: "oid", target: "UInt32", override: "UInt32", values: []string{"0", "4294967295"}},
		{source: "real", target: "Float32", values: []string{"0", "-0", "NaN", "Infinity", "-Infinity", "3.4028235e38", "1e-45", "1.1754944e-38", "0.1", "16777217"}, random: aFloat(32)},
		{source: "double precision", target: "Float64", values: []string{"0", "-0", "NaN", "Infinity", "-Infinity", "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "0.1", "9007199254740993", "1e23"}, random: aFloat(64)},
		{source: "boolean", target: "Bool", values: []string{"true", "false"}},
		{source: "numeric(9,0)", target: "Decimal(9, 0)", values: []string{"0", nines(9), "-" + nines(9)}, random: aNumber(9, 0)},
		{source: "numeric(12,2)", target: "Decimal(12, 2)", values: []string{"0", "-0.01", "0.5", nines(10) + ".99"}, random: aNumber(10, 2)},
		{source: "numeric(38,10)", target: "Decimal(38, 10)", values: []string{nines(28) + ".9999999999", "-" + nines(28) + ".9999999999", "-0.0000000001"}, random: aNumber(28, 10)},
		{source: "numeric(76,76)", target: "Decimal(76, 76)", values: []string{"0." + nines(76), "-0." + nines(76)}, random: aNumber(0, 76)},
		{source: "numeric", target: "String", values: []string{"NaN", "Infinity", "-Infinity", "1.50", "0.000", nines(1000) + ".1", "-1e-300"}, random: aNumber(100, 20)},
		{source: "numeric", target: "Decimal(76, 38)", override: "Decimal(76, 38)", policy: "\"null\"", values: []string{"0", "1e-38"}, odd: []string{"NaN", "Infinity", "-1e38"}, random: aNumber(38, 20), effective: "CASE WHEN %[1]s > -1e38 AND %[1]s < 1e38 THEN %[1]s END"},
		{source: "numeric(100,2)", target: "String", values: []string{nines(98) + ".99"}},
		{source: "numeric(5,-2)", target: "String", values: []string{"1234567", "-100"}, since: 15},
		{source: "money", target: "String", values: []string{"-92233720368547758.08", "92233720368547758.07", "0", "1234.5"}},
		{source: "text", target: "String", values: someTexts, random: aText},
		{source: "text", target: "LowCardinality(String)", nullable: "LowCardinality(Nullable(String))", override: "LowCardinality(String)", values: someTexts, random: aText},
		{source: "varchar(10)", target: "String", values: []string{"", "abc", "0123456789", "éééééééééé"}},
		{source: "char(5)", target: "String", values: []string{"", "ab", "abcde"}},
		{source: "name", target: "String", values: []string{"pg_class", ""}},
		{source: `"char"`, target: "String", values: []string{"a", "", "\\377"}},
		{source: "citext", target: "String", values: []string{"Aa", "aA", ""}},
		{source: "hstore", target: "String", values: []string{"", `a=>1, "b c"=>NULL, "\"q"=>"x\\y"`}},
		{source: "bytea", target: "String", values: []string{"", `\x00`, `\x00ff5c27`, `\x` + strings.Repeat("00ff", 5000)}, random: func(r *rand.Rand) string { return fmt.Sprintf(`\x%016x`, r.Uint64()) }},
		{source: "uuid", target: "UUID", values: []string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "01234567-89AB-cdef-0123-456789abcdef"}, random: aUUID},
		{source: "json", target: "String", values: []string{`{"a": 1,  "a": 12345678901234567890.10}`, "null", `"é"`}},
		{source: "jsonb", target: "String", values: []string{`{"a": [1, null, "é"], "n": 1e400}`, "null", "[]"}},
		{source: "jsonpath", target: "String", values: []string{`$.a[*] ? (@ > 1)`}},
		{source: "xml", target: "String", values: []string{"<a>&amp;</a>", "x"}},
		{source: "tsvector", target: "String", values: []string{"a:1 'it''s':2", ""}},
		{source: "tsquery", target: "String", values: []string{"a & !b <2> c"}},
		{source: "bit(8)", target: "String", values: []string{"10100000", "00000000"}},
		{source: "bit varying", target: "String", values: []string{"10101", ""}},
		{source: "mood", target: "LowCardinality(String)", nullable: "LowCardinality(Nullable(String))", values: []string{"happy", `it's \ odd`, ""}},
		{source: "amount", target: "Decimal(8, 2)", values: []string{"12.50", "-999999.99"}},
		{source: "gross", target: "Decimal(8, 2)", values: []string{"12.50", "999999.99"}},
		{source: "pair", target: "String", values: []string{`(1,"a,b")`, "(,)", `(-1,"""q""")`}},
	}, append(dateCases(), containerCases()...)...)
}

func dateCases() []typeCase {
	return []typeCase{
		{source: "date", target: "Date32", values: dates, random: func(r *rand.Rand) string { return aTime(r)[:10] }},
		{source: "date", target: "String", override: "String", values: append(dates, oddDates...)},
		{source: "date", target: "Date32", policy: "clamp", values: dates, odd: oddDates, effective: "least(greatest(%s, '1900-01-01'), '2299-12-31')"},
		{source: "date", target: "Date32", policy: "\"null\"", values: dates, odd: oddDates, effective: "CASE WHEN %[1]s BETWEEN '1900-01-01' AND '2299-12-31' THEN %[1]s END"},
		{source: "date", target: "Date", override: "Date", policy: "clamp", values: []string{"1970-01-01", "2149-06-06"}, odd: append(dates, oddDates...), effective: "least(greatest(%s, '1970-01-01'), '2149-06-06')"},
		{source: "timestamp", target: "DateTime64(6, 'Asia/Tokyo')", values: []string{"1969-12-31 23:59:59.999999", "2024-02-29 12:34:56.7", "2299-12-31 23:59:59.999999"}, random: aTimeFrom(1990)},
		{source: "timestamp", target: "DateTime64(6, 'UTC')", override: "DateTime64(6, 'UTC')", values: times, random: aTime},
		{source: "timestamp(3)", target: "DateTime64(3, 'UTC')", override: "DateTime64(3, 'UTC')", values: []string{"2024-01-02 03:04:05.678", "1969-12-31 23:59:59.999"}},
		{source: "timestamp", target: "DateTime64(6, 'UTC')", override: "DateTime64(6, 'UTC')", policy: "clamp", values: times, odd: oddTimes, effective: "least(greatest(%s, '1900-01-01'), '2299-12-31 23:59:59.999999')"},
		{source: "timestamp", target: "String", override: "String", values: append(times, oddTimes...)},
		{source: "timestamptz", target: "DateTime64(6, 'UTC')", values: append([]string{"2024-03-10 02:30:00-05"}, times...), random: aTime},
		{source: "timestamptz", target: "DateTime64(6, 'UTC')", policy: "clamp", values: times, odd: oddTimes, effective: "least(greatest(%s, '1900-01-01 00:00Z'), '2299-12-31 23:59:59.999999Z')"},
		{source: "timestamptz", target: "DateTime64(6, 'UTC')", policy: "\"null\"", values: times, odd: oddTimes, effective: "CASE WHEN %[1]s BETWEEN '1900-01-01 00:00Z' AND '2299-12-31 23:59:59.999999Z' THEN %[1]s END"},
		{source: "timestamptz", target: "String", override: "String", values: append(times, oddTimes...)},
		{source: "time", target: "String", values: []string{"00:00:00", "24:00:00", "23:59:59.999999"}},
		{source: "timetz", target: "String", values: []string{"24:00:00-15:59", "00:00:00+15:59", "12:34:56.7+05:30"}},
		{source: "interval", target: "String", values: []string{"1 year 2 mons -3 days 04:05:06.789", "178000000 years", "-178000000 years", "0", "-1 mon +1 day -00:00:00.000001"}},
	}
}

func containerCases() []typeCase {
	oddArrays := func(values ...string) []string { return append(values, "{}") }
	text := func(source string, values ...string) typeCase {
		return typeCase{source: source, target: "String", values: values}
	}
	array := func(source, elem string, values ...string) typeCase {
		return typeCase{source: source, target: "Array(" + elem + ")", nullable: "Nullable(String)", values: append(values, "{}", "{NULL}")}
	}
	integers := array("integer[]", "Nullable(Int32)", "{1,NULL,-3}")
	integers.odd, integers.random = oddArrays("{{1,2},{3,NULL}}", "[0:1]={5,6}", "[2:2][-1:0]={{1,2}}"), anArray(anInteger(32))
	texts := array("text[]", "Nullable(String)", `{"",NULL,"NULL",null,"a,b","\"\\","{}"," ",é}`)
	texts.odd, texts.random = oddArrays(`{{a,b},{"c,d",NULL}}`, `[5:6]={x,"{}"}`), anArray(aText)
	clamped := array("date[]", "Nullable(Date32)", "{1900-01-01,NULL}")
	clamped.policy, clamped.override, clamped.nullable = "clamp", "Array(Nullable(Date32))", "Array(Nullable(Date32))"
	bare := array("bigint[]", "Int64")
	bare.override, bare.nullable, bare.values = "Array(Int64)", "Array(Int64)", []string{"{}", "{1,2}", "{-9223372036854775808}"}
	return []typeCase{
		integers, texts, clamped, bare,
		array("digits", "Nullable(Int16)", "{1,2}"),
		array("amount[]", "Nullable(Decimal(8, 2))", "{1.5,-0.01}"),
		array("numeric(12,2)[]", "Nullable(Decimal(12, 2))", "{1.5,-0.01}"),
		array("numeric[]", "Nullable(String)", "{NaN,1.500}"),
		array("boolean[]", "Nullable(Bool)", "{t,f}"),
		array("uuid[]", "Nullable(UUID)", "{01234567-89ab-cdef-0123-456789abcdef}"),
		array("timestamptz[]", "Nullable(DateTime64(6, 'UTC'))", `{"2024-02-29 12:00:00.5+00"}`),
		array("double precision[]", "Nullable(Float64)", "{0.5,NaN,-Infinity}"),
		array("bytea[]", "Nullable(String)", `{"\\x00ff","\\x"}`),
		array("mood[]", "Nullable(String)", `{happy,"it's \\ odd",""}`),
		array("pair[]", "Nullable(String)", `{"(1,\"a,b\")"}`),
		array("interval[]", "Nullable(String)", `{"1 year 2 mons"}`),
		array("jsonb[]", "Nullable(String)", `{"{\"a\": [1, \"x\"]}"}`),
		array("hstore[]", "Nullable(String)", `{"\"a\"=>\"1\""}`),
		array("int4range[]", "Nullable(String)", `{"[1,5)"}`),
		text("integer[][]", "{}", "{{1,2},{3,NULL}}", "{1}"),
		text("box[]", "{(1,1),(0,0);(2,2),(1,1)}"),
		text("int2vector", "1 2 3", ""), text("oidvector", "1 2 3"),
		text("inet", "10.0.0.1/8", "::1", "255.255.255.255"), text("cidr", "10.0.0.0/8", "::/0"),
		text("macaddr", "08:00:2b:01:02:03"), text("macaddr8", "08:00:2b:01:02:03:04:05"),
		text("point", "(1.5,-0)"), text("line", "{1,2,3}"), text("lseg", "[(0,0),(1,1)]"), text("box", "(1,1),(0,0)"),
		text("path", "[(0,0),(1,1)]", "((0,0),(1,1))"), text("polygon", "((0,0),(1,1))"), text("circle", "<(0,0),1e300>"),
		text("int4range", "[1,5)", "empty", "(,)"), text("int8range", "[1,5)"), text("numrange", "[1.50,)"),
		text("tsrange", "[2024-01-01 00:00:00,infinity)"), text("tstzrange", "(,2024-01-01 00:00:00+00]"), text("daterange", "[2024-01-01,2024-02-01)"),
		text("int4multirange", "{[1,5),[7,9)}", "{}"),
		text("xid", "4294967295"), text("xid8", "18446744073709551615"), text("pg_lsn", "FFFFFFFF/FFFFFFFF", "0/0"), text("tid", "(0,1)"),
		text("regclass", "pg_class", "-"), text("regtype", "integer", "mood"), text("regproc", "now"), text("pg_snapshot", "1:3:2"),
	}
}

func anInteger(bits int) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return strconv.FormatInt(int64(r.Uint64())>>(64-bits)>>r.IntN(bits), 10) }
}

func aFloat(bits int) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		v := math.Float64frombits(r.Uint64())
		if bits == 32 {
			v = float64(math.Float32frombits(r.Uint32()))
		}
		return strconv.FormatFloat(v, 'g', -1, bits)
	}
}

func aNumber(whole, fraction int) func(*rand.Rand) string {
	digits := func(r *rand.Rand, n int) string {
		s := []byte("0")
		for range r.IntN(n + 1) {
			s = append(s, byte('0'+r.IntN(10)))
		}
		return string(s[min(1, len(s)-1):])
	}
	return func(r *rand.Rand) string {
		s := []string{"", "-"}[r.IntN(2)] + digits(r, whole)
		if fraction > 0 {
			s += "." + digits(r, fraction)
		}
		return s
	}
}

func aText(r *rand.Rand) string {
	runes := make([]rune, r.IntN(20))
	for i := range runes {
		runes[i] = []rune("ab\\'\"\t\n\r0é世🐘\x01 ,{}")[r.IntN(17)]
	}
	return string(runes)
}

func aUUID(r *rand.Rand) string {
	a, b := r.Uint64(), r.Uint64()
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff)
}

// aTimeFrom is a wall clock from a year on that ClickHouse can hold in any zone.
func aTimeFrom(year int) func(*rand.Rand) string {
	first := time.Date(year, 1, 2, 0, 0, 0, 0, time.UTC).UnixMicro()
	last := time.Date(2299, 12, 31, 0, 0, 0, 0, time.UTC).UnixMicro()
	return func(r *rand.Rand) string {
		return time.UnixMicro(first + r.Int64N(last-first)).UTC().Format("2006-01-02 15:04:05.000000")
	}
}

func aTime(r *rand.Rand) string { return aTimeFrom(1900)(r) }

// anArray has up to four elements, some of them NULL.
func anArray(elem func(*rand.Rand) string) func(*rand.Rand) string {
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
