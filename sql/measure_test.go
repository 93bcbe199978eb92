package sql

import "testing"

func TestCombiner(t *testing.T) {
	for _, c := range []struct {
		expr, result string
		keyed        bool
		want         string
	}{
		{"sum(price * qty)", "Decimal(38, 2)", true, "sum"},
		{"SUM(a)", "Nullable(UInt64)", true, "sum"},
		{"count()", "UInt64", false, "sum"},
		{"countIf(a > 1)", "UInt64", true, "sum"},
		{"sumIf(a, b)", "Float64", true, "sum"},
		{"min(a)", "DateTime64(6, 'UTC')", true, "min"},
		{"max(a)", "Nullable(Decimal(12, 2))", true, "max"},
		{"max(a)", "Int32", false, ""},                  // of no rows: 0
		{"minIf(a, b)", "Int32", true, ""},              // of no rows: 0
		{"min(a)", "Float64", true, ""},                 // NaN
		{"max(a)", "LowCardinality(String)", true, ""},  // another type by the next call
		{"sum(a)", "IntervalDay", true, ""},             // the same
		{"sumMap(a)", "Tuple(Array(UInt64))", true, ""}, // not of a number
		{"avg(a)", "Float64", true, ""},                 // needs both sum and count
		{"sumDistinct(a)", "UInt64", true, ""},          // needs the values
		{"quantile(0.9)(a)", "Float64", true, ""},       // needs the values
		{"uniq(a)", "UInt64", true, ""},                 // needs the values
		{"sumOrNull(a)", "Nullable(UInt64)", true, ""},  // not listed
		{"sumWithOverflow(a)", "UInt8", true, ""},       // another type by the next call
		{"any(a)", "UInt64", true, ""},                  // depends on the order
		{"count(a)", "UInt64", true, "sum"},             // those that are not NULL
		{"sumArray(a)", "UInt64", true, ""},             // not listed
		{"min(a)", "Array(UInt8)", true, ""},            // not listed
		{"sum(a)", "Decimal(10, 2)", true, ""},          // no sum has this type
		{"max(a)", "DateTime('Europe/Paris')", true, "max"},
	} {
		call, err := ParseCall(c.expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := combiner(call, c.result, c.keyed); got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.expr, c.result, got, c.want)
		}
	}
}
