package block

import (
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/sql"
)

// OIDs of the source types.
const (
	oidBool, oidBytea, oidInt8, oidInt2, oidInt4 = 16, 17, 20, 21, 23
	oidText, oidFloat4, oidFloat8, oidDate       = 25, 700, 701, 1082
	oidTimestamp, oidTimestampTZ                 = 1114, 1184
	oidNumeric, oidUUID                          = 1700, 2950
)

// typeOf maps a NOT NULL column.
func typeOf(tb testing.TB, oid uint32, zone, override string) sql.Type {
	tb.Helper()
	typ, err := sql.MapType(sql.SourceColumn{Name: "c", TypeOID: oid, TypeMod: -1, NotNull: true}, zone, sql.Override{Type: override})
	if err != nil {
		tb.Fatal(err)
	}
	return typ
}

func builderOf(tb testing.TB, types ...sql.Type) *Builder {
	tb.Helper()
	columns := make([]Column, len(types))
	for i, typ := range types {
		columns[i] = Column{Name: "c" + strconv.Itoa(i), Type: typ}
	}
	b, err := NewBuilder(columns)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestRefusedValues(t *testing.T) {
	for _, tc := range []struct {
		oid            uint32
		zone, override string
		reason         *refusal
		values         []string
	}{
		{oidNumeric, "", "Decimal(5, 2)", refuseSpecial, []string{"NaN", "Infinity", "-Infinity"}},
		{oidNumeric, "", "Decimal(5, 2)", refuseDigits, []string{"1000", "-1000.00", "100000000000000000000000000000000000000000"}},
		{oidNumeric, "", "Decimal(5, 2)", refuseScale, []string{"0.001", "-999.995", "1.00000000000000000000000000000000001"}},
		{oidNumeric, "", "Decimal(5, 2)", refuseNumber, []string{"", "-", ".", "1.", ".5", "1e3", "+1", "1.2.3", "--1", " 1", "1 ", "0x1"}},
		{oidInt4, "", "", refuseInt, []string{"2147483648", "-2147483649", "99999999999999999999999"}},
		{oidInt8, "", "", refuseInt, []string{"9223372036854775808", "-9223372036854775809", "18446744073709551616"}},
		{oidInt8, "", "Int8", refuseInt, []string{"128", "-129"}},
		{oidInt8, "", "UInt8", refuseInt, []string{"256", "-1"}},
		{oidInt8, "", "UInt64", refuseInt, []string{"18446744073709551616", "-1", "100000000000000000000"}},
		{oidInt8, "", "", refuseNumber, []string{"", "-", "1.0", "+1", "--1", "1_000", "NaN"}},
		{oidInt8, "", "UInt64", refuseNumber, []string{"", "-", "-x", "1e1"}},
		{oidFloat8, "", "", refuseFloat, []string{"", "inf", "nan", "0x1p-2", "1e999", "1_0", "infinity"}},
		{oidFloat4, "", "", refuseFloat, []string{"1e39", "3.5e38"}},
		{oidBool, "", "", refuseBool, []string{"", "true", "T", "1"}},
		{oidUUID, "", "", refuseUUID, []string{
			"", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "a0eebc999c0b4ef8bb6d6bb9bd380a110000",
			"g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1\x00",
		}},
		{oidBytea, "", "", refuseBytea, []string{"", "\\x0", "\\xzz", "abc", "\\000", "\\x0g"}},
		{oidDate, "", "", refuseInfinity, []string{"infinity", "-infinity"}},
		{oidDate, "", "", refuseRange, []string{"1899-12-31", "2300-01-01", "5874897-12-31", "0044-03-15 BC", "4713-01-01 BC"}},
		{oidDate, "", "Date", refuseDate, []string{"1969-12-31", "2149-06-07"}},
		{oidDate, "", "", refuseTime, []string{"", "2024-02-30", "2023-02-29", "2024-13-01", "2024-00-10", "2024-01-00", "24-01-01", "2024-1-1", "2024-01-01 ", "01/02/2024", "2024-01-01 00:00:00"}},
		{oidTimestamp, "", "", refuseInfinity, []string{"infinity", "-infinity"}},
		{oidTimestamp, "", "", refuseRange, []string{"1899-12-31 23:59:59.999999", "2300-01-01 00:00:00", "294276-12-31 23:59:59.999999", "0001-01-01 00:00:00", "2024-01-01 00:00:00 BC"}},
		{oidTimestamp, "", "", refuseTime, []string{"2024-01-01", "2024-01-01T00:00:00", "2024-01-01 24:00:00", "2024-01-01 00:60:00", "2024-01-01 00:00:60", "2024-01-01 00:00:00.", "2024-01-01 00:00:00.1234567", "2024-01-01 00:00:00+00", "2024-01-01 00:00"}},
		{oidTimestamp, "America/New_York", "", refuseGap, []string{"2024-03-10 02:00:00", "2024-03-10 02:30:00", "2024-03-10 02:59:59.999999"}},
		{oidTimestamp, "America/Sao_Paulo", "", refuseGap, []string{"2018-11-04 00:00:00", "2018-11-04 00:59:59"}},
		{oidTimestamp, "Pacific/Apia", "", refuseGap, []string{"2011-12-30 12:00:00"}},
		{oidTimestamp, "America/St_Johns", "", refuseOffset, []string{"2006-10-29 00:00:59", "2006-04-02 12:00:00"}},
		{oidTimestamp, "Europe/Amsterdam", "", refuseOffset, []string{"1900-01-01 00:00:00"}},
		{oidTimestamp, "America/Toronto", "", refuseOffset, []string{"1919-03-31 00:30:00"}},
		{oidTimestampTZ, "", "", refuseRange, []string{"1899-12-31 23:59:59+00", "2300-01-01 00:00:00+00", "1900-01-01 00:00:00+01", "2299-12-31 23:30:00-01"}},
		{oidTimestampTZ, "", "", refuseTime, []string{"2024-01-01 00:00:00", "2024-01-01 00:00:00Z", "2024-01-01 00:00:00+0"}},
		{oidTimestampTZ, "", "", refuseInfinity, []string{"infinity", "-infinity"}},
	} {
		typ := typeOf(t, tc.oid, tc.zone, tc.override)
		b := builderOf(t, typ)
		for _, text := range tc.values {
			err := b.AppendText(0, []byte(text))
			var ve *ValueError
			if !errors.As(err, &ve) {
				t.Errorf("%s took %q", typ.Name, text)
				continue
			}
			if ve.Reason != tc.reason.reason || ve.Column != "c0" || ve.Type != typ.Name {
				t.Errorf("%s, %q: %v, want %s", typ.Name, text, err, tc.reason.reason)
			}
			if !strings.Contains(fault.Try(err), tc.reason.use) {
				t.Errorf("%s, %q: remedy %q lacks %s", typ.Name, text, fault.Try(err), tc.reason.use)
			}
		}
		if n := b.Rows() + len(b.cols[0].data); n != 0 {
			t.Errorf("%s kept something of refused values", typ.Name)
		}
	}
}

// mapped maps a NOT NULL column with all that the configuration can say of it.
func mapped(tb testing.TB, c sql.SourceColumn, o sql.Override) sql.Type {
	tb.Helper()
	c.Name, c.NotNull, c.TypeMod = "c", true, -1
	typ, err := sql.MapType(c, "America/New_York", o)
	if err != nil {
		tb.Fatal(err)
	}
	return typ
}

func TestRefusedArrays(t *testing.T) {
	for _, tc := range []struct {
		override string
		reason   *refusal
		values   []string
	}{
		{"", refuseLowerBound, []string{"[0:1]={5,6}", "[2:2]={{1}}"}},
		{"", refuseDimensions, []string{"{{1,2},{3,4}}", "{{}}"}},
		{"", refuseArray, []string{"", "{", "}", "1", "{1", "{1,}", "{,1}", "{,}", "{1}2}", `{1"2"}`, `{"1}`, `{"1\`, `{"1"2}`, `{1\2}`, "{1,2}}"}},
		{"", refuseInt, []string{"{1,2147483648}"}},
		{"", refuseNumber, []string{"{1,x}", `{1,""}`, "{null}"}},
		{"Array(Int32)", refuseElement, []string{"{1,NULL}"}},
	} {
		b := builderOf(t, mapped(t, sql.SourceColumn{TypeOID: oidInt4, Array: true}, sql.Override{Type: tc.override}))
		must(t, b.AppendText(0, []byte("{1,2}")))
		for _, text := range tc.values {
			err := b.AppendText(0, []byte(text))
			var ve *ValueError
			if !errors.As(err, &ve) || ve.Reason != tc.reason.reason || ve.Try == "" {
				t.Errorf("%q: %v, want %s", text, err, tc.reason.reason)
			}
		}
		if b.Rows() != 1 || b.cols[0].elem.rows != 2 {
			t.Errorf("%d rows and %d elements are left of one row of 2", b.Rows(), b.cols[0].elem.rows)
		}
	}
	b := builderOf(t, mapped(t, sql.SourceColumn{TypeOID: oidInt4, Array: true}, sql.Override{}))
	if err := b.AppendNull(0); err == nil || !strings.Contains(fault.Try(err), "Nullable(String)") {
		t.Errorf("NULL: %v", err)
	}
	b = builderOf(t, mapped(t, sql.SourceColumn{TypeOID: oidInt4, Array: true}, sql.Override{Type: "Array(Int32)", Lossy: true}))
	if err := b.AppendNull(0); err != nil || b.Rows() != 1 || b.cols[0].elem.rows != 0 {
		t.Errorf("NULL of a lossy Array: %v", err)
	}
}

// FuzzArray: any text is taken whole or not at all, and what is taken counts its elements right.
func FuzzArray(f *testing.F) {
	for _, text := range []string{"{}", "{1,NULL,-3}", `{"a","b\\"c",NULL}`, "[0:1]={1,2}", "{{1},{2}}", "{", "{,}", `{"`, `{"\\`, "{a}b}", "{NULL,null}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, oid := range []uint32{oidInt4, oidText, oidBytea} {
			b := builderOf(t, mapped(t, sql.SourceColumn{TypeOID: oid, Array: true}, sql.Override{}))
			must(t, b.AppendText(0, []byte("{NULL}")))
			rows := 1
			if b.AppendText(0, []byte(text)) == nil {
				rows = 2
			}
			c := &b.cols[0]
			if b.Rows() != rows || c.elements() != c.elem.rows || rows == 1 && c.elem.rows != 1 {
				t.Fatalf("%q: %d rows, %d elements of %d", text, b.Rows(), c.elem.rows, c.elements())
			}
		}
	})
}

// TestOutOfRange has each policy meet values beyond both ends of each type.
func TestOutOfRange(t *testing.T) {
	const array = true
	for _, tc := range []struct {
		oid            uint32
		array          bool
		override       string
		inside         string // a value that the type holds
		low, high      []string
		lowest, utmost string // what they become
	}{
		{oidDate, !array, "", "2024-02-29", []string{"-infinity", "0001-01-01", "4713-01-01 BC", "1899-12-31"}, []string{"infinity", "9999-12-31", "2300-01-01"}, "1900-01-01", "2299-12-31"},
		{oidDate, !array, "Date", "2024-02-29", []string{"-infinity", "1969-12-31", "0044-03-15 BC"}, []string{"infinity", "2149-06-07"}, "1970-01-01", "2149-06-06"},
		{oidTimestampTZ, !array, "", "2024-02-29 00:00:00+00", []string{"-infinity", "0001-01-01 00:00:00+00", "1899-12-31 23:59:59+00", "2024-01-01 00:00:00+00 BC"}, []string{"infinity", "9999-12-31 23:59:59+00"}, "1900-01-01 00:00:00+00", "2299-12-31 23:59:59.999999+00"},
		{oidTimestampTZ, !array, "DateTime64(6, 'Europe/Berlin')", "2024-02-29 00:00:00+00", nil, []string{"infinity", "2299-12-31 23:30:00-01"}, "", "2299-12-31 22:59:59.999999+00"},
		{oidTimestamp, !array, "", "2024-02-29 00:00:00", nil, []string{"infinity", "9999-12-31 00:00:00"}, "", "2299-12-31 18:59:59.999999"},
		{oidInt8, !array, "Int8", "1", []string{"-129"}, []string{"128", "9223372036854775807"}, "-128", "127"},
		{oidInt8, !array, "UInt32", "1", []string{"-1"}, []string{"4294967296"}, "0", "4294967295"},
		{oidNumeric, !array, "Decimal(5, 2)", "1.5", []string{"-1000", "-Infinity"}, []string{"1000", "Infinity"}, "-999.99", "999.99"},
		{oidNumeric, !array, "Decimal(2, 2)", "0.5", []string{"-1"}, []string{"1"}, "-0.99", "0.99"},
		{oidDate, array, "", "{2024-02-29}", []string{"{-infinity}"}, []string{"{9999-12-31}"}, "{1900-01-01}", "{2299-12-31}"},
	} {
		column := sql.SourceColumn{TypeOID: tc.oid, Array: tc.array}
		clamped := builderOf(t, mapped(t, column, sql.Override{Type: tc.override, OutOfRange: sql.Clamp}))
		null := builderOf(t, mapped(t, column, sql.Override{Type: tc.override, OutOfRange: sql.NullOutOfRange}))
		refused := builderOf(t, mapped(t, column, sql.Override{Type: tc.override}))
		for want, texts := range map[string][]string{tc.inside: {tc.inside}, tc.lowest: tc.low, tc.utmost: tc.high} {
			for _, text := range texts {
				clamped.Reset()
				must(t, clamped.AppendText(0, []byte(want)))
				must(t, clamped.AppendText(0, []byte(text)))
				if data := flat(&clamped.cols[0]); string(data[:len(data)/2]) != string(data[len(data)/2:]) {
					t.Errorf("%s: %s is clamped to another value than %s", clamped.cols[0].typ.Name, text, want)
				}
				null.Reset()
				must(t, null.AppendText(0, []byte(text)))
				if isNull := flat(&null.cols[0])[0] == 1; isNull != (text != tc.inside) {
					t.Errorf("%s: NULL in place of %s: %v", null.cols[0].typ.Name, text, isNull)
				}
				if err := refused.AppendText(0, []byte(text)); (err == nil) != (text == tc.inside) || err != nil && !strings.Contains(fault.Try(err), "out_of_range") {
					t.Errorf("%s: %s without a policy: %v", refused.cols[0].typ.Name, text, err)
				}
			}
		}
		if err := clamped.AppendText(0, []byte("x")); err == nil {
			t.Errorf("%s took what is no value", clamped.cols[0].typ.Name)
		}
	}
	nan := builderOf(t, mapped(t, sql.SourceColumn{TypeOID: oidNumeric}, sql.Override{Type: "Decimal(5, 2)", OutOfRange: sql.Clamp}))
	if err := nan.AppendText(0, []byte("NaN")); err == nil {
		t.Error("NaN was clamped")
	}
}

// flat is what a column sends of its values: of an Array, its elements.
func flat(c *buffer) []byte {
	if c.elem != nil {
		return flat(c.elem)
	}
	if c.typ.Nullable && c.typ.OutOfRange == sql.NullOutOfRange {
		return c.nulls
	}
	return c.data
}

func TestLossy(t *testing.T) {
	for _, tc := range []struct {
		oid        uint32
		override   string
		text, same string
	}{
		{oidNumeric, "Decimal(5, 2)", "1.005", "1.01"},
		{oidNumeric, "Decimal(5, 2)", "-1.005", "-1.01"},
		{oidNumeric, "Decimal(5, 2)", "1.00499", "1.00"},
		{oidNumeric, "Decimal(5, 2)", "0.999", "1"},
		{oidNumeric, "Float64", "0.1000000000000000000001", "0.1"},
		{oidInt8, "Float64", "9007199254740993", "9007199254740992"},
		{oidFloat8, "Float32", "0.1", "0.10000000149011612"},
		{oidTimestampTZ, "DateTime64(3, 'UTC')", "2024-02-29 00:00:00.123987+00", "2024-02-29 00:00:00.123+00"},
		{oidTimestampTZ, "DateTime64(0, 'UTC')", "1969-12-31 23:59:58.9+00", "1969-12-31 23:59:58+00"},
	} {
		b := builderOf(t, mapped(t, sql.SourceColumn{TypeOID: tc.oid}, sql.Override{Type: tc.override, Lossy: true}))
		must(t, b.AppendText(0, []byte(tc.text)))
		must(t, b.AppendText(0, []byte(tc.same)))
		if data := b.cols[0].data; string(data[:len(data)/2]) != string(data[len(data)/2:]) {
			t.Errorf("%s: %s is not %s", tc.override, tc.text, tc.same)
		}
	}
	b := builderOf(t, mapped(t, sql.SourceColumn{TypeOID: oidNumeric}, sql.Override{Type: "Decimal(5, 2)", Lossy: true}))
	if err := b.AppendText(0, []byte("999.995")); err == nil || b.Rows() != 0 {
		t.Errorf("rounding beyond the range: %v", err)
	}
	b = builderOf(t, mapped(t, sql.SourceColumn{TypeOID: oidTimestampTZ}, sql.Override{Type: "DateTime64(3, 'UTC')", Lossy: true}))
	must(t, b.AppendText(0, []byte("2024-02-29 00:00:00.123987+00")))
	if micros, ok := b.Instant(0, 0); !ok || micros != 1709164800123000 {
		t.Errorf("instant %d", micros)
	}
}

func TestNullIsRefusedWhereTheTypeHasNone(t *testing.T) {
	for override, use := range map[string]string{"String": "Nullable(String)", "LowCardinality(String)": "LowCardinality(Nullable(String))"} {
		b := builderOf(t, typeOf(t, oidText, "", override))
		err := b.AppendNull(0)
		var ve *ValueError
		if !errors.As(err, &ve) || !strings.Contains(ve.Try, use) || b.Rows() != 0 {
			t.Errorf("%s: %v", override, err)
		}
		if _, err := sql.MapType(sql.SourceColumn{TypeOID: oidText, NotNull: true}, "", sql.Override{Type: use}); err != nil {
			t.Errorf("the remedy is not accepted: %v", err)
		}
	}
}

func TestValueErrorShortensValues(t *testing.T) {
	b := builderOf(t, typeOf(t, oidInt8, "", ""))
	err := b.AppendText(0, []byte(strings.Repeat("é", 5000)))
	if len(err.Error()) > 400 || !strings.Contains(err.Error(), "(10000 bytes)") {
		t.Errorf("error of %d bytes: %.500s", len(err.Error()), err)
	}
}

func TestInstant(t *testing.T) {
	for _, tc := range []struct {
		oid            uint32
		zone, override string
		text, want     string
	}{
		{oidTimestampTZ, "", "", "2024-05-06 07:08:09.5+00", "2024-05-06T07:08:09.5Z"},
		{oidTimestampTZ, "", "", "2024-05-06 07:08:09.000001+05:30", "2024-05-06T01:38:09.000001Z"},
		{oidTimestampTZ, "", "", "2024-05-06 07:08:09-03:30:15", "2024-05-06T10:38:24Z"},
		{oidTimestamp, "", "", "1969-12-31 23:59:59.999999", "1969-12-31T23:59:59.999999Z"},
		{oidTimestamp, "America/New_York", "", "2024-03-10 01:59:59.999999", "2024-03-10T06:59:59.999999Z"},
		{oidTimestamp, "America/New_York", "", "2024-03-10 03:00:00", "2024-03-10T07:00:00Z"},
		{oidTimestamp, "America/New_York", "", "2024-11-03 01:30:00", "2024-11-03T05:30:00Z"}, // twice: the first
		{oidTimestamp, "America/New_York", "", "2024-11-03 02:00:00", "2024-11-03T07:00:00Z"},
		{oidTimestamp, "Australia/Lord_Howe", "", "2024-04-07 01:45:00", "2024-04-06T14:45:00Z"}, // a change of 30 minutes
		{oidTimestamp, "Asia/Kathmandu", "", "2024-01-01 00:00:00", "2023-12-31T18:15:00Z"},
		{oidTimestamp, "Pacific/Apia", "", "2011-12-31 00:00:00", "2011-12-30T10:00:00Z"},
		{oidTimestamp, "Europe/Berlin", "", "2299-07-01 00:00:00", "2299-06-30T22:00:00Z"},
		{oidDate, "", "", "1900-01-01", "1900-01-01T00:00:00Z"},
		{oidDate, "", "", "2299-12-31", "2299-12-31T00:00:00Z"},
		{oidDate, "America/New_York", "", "2024-07-01", "2024-07-01T04:00:00Z"},
		{oidDate, "America/Sao_Paulo", "", "2018-11-04", "2018-11-04T03:00:00Z"}, // no midnight: from 01:00
		{oidDate, "America/Havana", "", "2024-11-03", "2024-11-03T04:00:00Z"},    // midnight twice: the first
		{oidDate, "America/New_York", "Date", "1970-01-01", "1970-01-01T05:00:00Z"},
		{oidDate, "", "Date", "2149-06-06", "2149-06-06T00:00:00Z"},
	} {
		b := builderOf(t, typeOf(t, tc.oid, tc.zone, tc.override))
		if err := b.AppendText(0, []byte(tc.text)); err != nil {
			t.Error(err)
			continue
		}
		micros, ok := b.Instant(0, 0)
		if got := time.UnixMicro(micros).UTC().Format(time.RFC3339Nano); !ok || got != tc.want {
			t.Errorf("%s in %q is %s, want %s", tc.text, tc.zone, got, tc.want)
		}
	}
}

func TestInstantOfNullAndOfOtherTypes(t *testing.T) {
	nullable, err := sql.MapType(sql.SourceColumn{TypeOID: oidTimestamp}, "", sql.Override{})
	if err != nil {
		t.Fatal(err)
	}
	b := builderOf(t, nullable, typeOf(t, oidInt8, "", ""))
	b.AppendZero(0)
	b.AppendZero(1)
	for col := range 2 {
		if _, ok := b.Instant(col, 0); ok {
			t.Errorf("column %d has an instant", col)
		}
	}
}

// TestZonePeriods holds the list of changes against the zone database itself, asked every hour.
func TestZonePeriods(t *testing.T) {
	for _, name := range []string{"UTC", "America/New_York", "Africa/Cairo", "Asia/Gaza", "Antarctica/Troll", "Europe/Dublin", "Africa/Casablanca"} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		z := newZone(loc, time.Time{})
		for at := firstDay * secondsPerDay; at < lastDay*secondsPerDay; at += 3600 {
			_, offset := time.Unix(at, 0).In(loc).Zone()
			if p := z.periods[z.search(at)]; at < p.from || at >= p.to || p.offset != int64(offset) {
				t.Fatalf("%s at %d: offset %d in %+v", name, at, offset, p)
			}
		}
	}
}

func TestTruncateAndReset(t *testing.T) {
	enum, err := sql.MapType(sql.SourceColumn{TypeOID: 99999, Enum: true}, "", sql.Override{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := sql.MapType(sql.SourceColumn{TypeOID: oidText}, "", sql.Override{})
	if err != nil {
		t.Fatal(err)
	}
	b := builderOf(t, text, enum, typeOf(t, oidInt8, "", ""), typeOf(t, oidNumeric, "", "Decimal(50, 3)"))
	row := func(s, e, i, d string) error {
		for col, text := range []string{s, e, i, d} {
			if err := b.AppendText(col, []byte(text)); err != nil {
				return err
			}
		}
		return nil
	}
	snapshot := func() string {
		var s strings.Builder
		for i := range b.cols {
			s.Write(b.cols[i].data)
			s.Write(b.cols[i].nulls)
		}
		return s.String()
	}
	for i := range 10 {
		if err := row(strings.Repeat("x", i*40), "e"+strconv.Itoa(i%3), strconv.Itoa(i), "1.5"); err != nil {
			t.Fatal(err)
		}
	}
	before, size := snapshot(), b.Bytes()
	if err := row("half", "e9", "1", "NaN"); err == nil {
		t.Fatal("NaN was taken")
	}
	if b.Rows() != 10 {
		t.Errorf("%d rows", b.Rows())
	}
	b.Truncate(b.Rows())
	if snapshot() != before || b.Rows() != 10 {
		t.Error("truncating left something of the half row, or took more")
	}
	if b.Bytes() < size {
		t.Error("bytes went down")
	}
	b.Truncate(0)
	if b.Rows() != 0 || snapshot() != "" {
		t.Error("truncating to nothing left something")
	}
	b.Reset()
	if err := row("a", "e1", "1", "1"); err != nil || b.Rows() != 1 || b.cols[1].dict.size() != 3 {
		t.Errorf("after reset: %v, %d rows", err, b.Rows())
	}
}

func TestNewBuilderRefusesUnmappedTypes(t *testing.T) {
	for _, typ := range []sql.Type{{}, {Name: "Date32", Kind: sql.KindDate32}} {
		if _, err := NewBuilder([]Column{{Name: "c", Type: typ}}); err == nil {
			t.Errorf("took %+v", typ)
		}
	}
}

// ratOf reads the stored number back by another way than it was written.
func ratOf(data []byte, scale int) *big.Rat {
	be := make([]byte, len(data))
	for i, x := range data {
		be[len(data)-1-i] = x
	}
	v := new(big.Int).SetBytes(be)
	if be[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(data))))
	}
	return new(big.Rat).SetFrac(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
}

func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"0", "-0.01", "999.99", "1000", "0.0050", "NaN", "00012.500", "-99999999999999999999.999", "1e5"} {
		f.Add(s, 5, 2)
		f.Add(s, 76, 38)
	}
	f.Fuzz(func(t *testing.T, text string, precision, scale int) {
		if precision < 1 || precision > 76 || scale < 0 || scale > precision {
			return
		}
		typ := typeOf(t, oidNumeric, "", "Decimal("+strconv.Itoa(precision)+","+strconv.Itoa(scale)+")")
		b := builderOf(t, typ)
		want, valid := new(big.Rat), false
		if !strings.ContainsAny(text, "eEpPxXoObB_/+iI ") {
			want, valid = want.SetString(text)
		}
		if err := b.AppendText(0, []byte(text)); err != nil {
			if !valid || strings.HasPrefix(text, ".") || strings.HasSuffix(text, ".") || strings.HasPrefix(text, "-.") {
				return
			}
			scaled := new(big.Rat).Mul(want, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
			limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
			if scaled.IsInt() && new(big.Int).Abs(scaled.Num()).Cmp(limit) < 0 {
				t.Fatalf("refused %q, which fits: %v", text, err)
			}
			return
		}
		if got := ratOf(b.cols[0].data, scale); !valid || got.Cmp(want) != 0 {
			t.Fatalf("%q became %s", text, got.FloatString(scale))
		}
	})
}

func FuzzInt(f *testing.F) {
	for _, s := range []string{"0", "-0", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "00000000000000000000000001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := builderOf(t, typeOf(t, oidInt8, "", ""), typeOf(t, oidInt8, "", "UInt64"))
		want, err := strconv.ParseInt(text, 10, 64)
		if got := b.AppendText(0, []byte(text)); (got == nil) != (err == nil && text[0] != '+') {
			// A number of more than 19 digits that is small because of leading zeros may be refused or taken.
			t.Fatalf("%q: %v, strconv says %v", text, got, err)
		} else if got == nil && int64(binary.LittleEndian.Uint64(b.cols[0].data)) != want {
			t.Fatalf("%q became another number", text)
		}
		unsigned, err := strconv.ParseUint(text, 10, 64)
		if got := b.AppendText(1, []byte(text)); (got == nil) != (err == nil) {
			t.Fatalf("%q: %v, strconv says %v", text, got, err)
		} else if got == nil && binary.LittleEndian.Uint64(b.cols[1].data) != unsigned {
			t.Fatalf("%q became another number", text)
		}
	})
}

func FuzzFloat(f *testing.F) {
	f.Add(uint64(0))
	f.Add(math.Float64bits(math.MaxFloat64))
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, bits uint64) {
		v := math.Float64frombits(bits)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
		b := builderOf(t, typeOf(t, oidFloat8, "", ""))
		if err := b.AppendText(0, strconv.AppendFloat(nil, v, 'g', -1, 64)); err != nil || binary.LittleEndian.Uint64(b.cols[0].data) != bits {
			t.Fatalf("%v: %v", v, err)
		}
	})
}

func FuzzTimestamp(f *testing.F) {
	zones := []string{"UTC", "America/New_York", "America/St_Johns", "Africa/Cairo", "Asia/Kathmandu", "Pacific/Apia"}
	for i := range zones {
		f.Add("2024-03-10 02:30:00.5", i)
		f.Add("2012-02-29 23:59:59.999999", i)
		f.Add("1900-03-01 00:00:00", i)
		f.Add("0001-01-01 00:00:00 BC", i)
	}
	f.Fuzz(func(t *testing.T, text string, zone int) {
		b := builderOf(t, typeOf(t, oidTimestamp, zones[uint(zone)%uint(len(zones))], ""))
		if b.AppendText(0, []byte(text)) != nil {
			return
		}
		// What is taken reads the same in its zone again, and no earlier instant does.
		micros, _ := b.Instant(0, 0)
		shown := func(t time.Time) string { return wallText(t.In(b.cols[0].typ.Zone)) }
		full := sixDigits(text)
		at := time.UnixMicro(micros)
		if shown(at) != full {
			t.Fatalf("%q became %s", text, shown(at))
		}
		for _, earlier := range []time.Duration{30 * time.Minute, time.Hour, 3 * time.Hour, 24 * time.Hour} {
			if shown(at.Add(-earlier)) == full {
				t.Fatalf("%q was at %s first", text, at.Add(-earlier))
			}
		}
	})
}

func FuzzBytesAndUUID(f *testing.F) {
	f.Add("\\x00ff", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
	f.Fuzz(func(t *testing.T, bytea, uuid string) {
		b := builderOf(t, typeOf(t, oidBytea, "", ""), typeOf(t, oidUUID, "", ""))
		if b.AppendText(0, []byte(bytea)) != nil && len(b.cols[0].data) != 0 {
			t.Fatal("a refused bytea left bytes")
		}
		if b.AppendText(1, []byte(uuid)) != nil && len(b.cols[1].data) != 0 {
			t.Fatal("a refused uuid left bytes")
		}
	})
}
