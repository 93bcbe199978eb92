package sql

import (
	"errors"
	"slices"
	"testing"
)

func TestParseCall(t *testing.T) {
	for expr, want := range map[string]Call{
		"count()":                       {"count", "", "()"},
		" sum( price * (qty + 1) ) ":    {"sum", "", "( price * (qty + 1) )"},
		"quantileExact(0.9)(price)":     {"quantileExact", "(0.9)", "(price)"},
		"countIf(note = ')')":           {"countIf", "", "(note = ')')"},
		"sumIf(x, note = 'it''s \\\\')": {"sumIf", "", "(x, note = 'it''s \\\\')"},
		"argMax(`we)ird`, a[1])":        {"argMax", "", "(`we)ird`, a[1])"},
	} {
		if got, err := ParseCall(expr); err != nil || got != want {
			t.Errorf("ParseCall(%q) = %+v, %v, want %+v", expr, got, err, want)
		}
	}
	for expr, want := range map[string]error{
		"price": errNoCall, "sum(a) + 1": errNoCall, "sum(a), sum(b)": errNoCall, "(sum)(a)": errNoCall, "count(*) OVER ()": errNoCall,
		"sum(a) FILTER (WHERE b)": errNoCall, "quantile(0.5)(a)(b)": errNoCall, "": errNoCall, "a.sum(b)": errNoCall,
		"count(DISTINCT a)": errDistinct, "sum( distinct a)": errDistinct,
		"sum(a": errUnbalanced, "sum('a)": errUnbalanced, "sum(a)) FROM b --": errNoCall,
		"sum(a -- b\n)": errComment, "sum(a /* b */)": errComment, "sum(a;)": errComment,
		"sum((SELECT 1))": errSubquery, "sum(a IN ( with x as (select 1) select 1))": errSubquery,
	} {
		if got, err := ParseCall(expr); !errors.Is(err, want) {
			t.Errorf("ParseCall(%q) = %+v, %v, want %v", expr, got, err, want)
		}
	}
}

func TestCheckExpr(t *testing.T) {
	for expr, want := range map[string]error{
		"a = 1 AND b IN ('x', 'y)')": nil, "toStartOfMinute(at)": nil, "note != 'it\\'s; -- no comment'": nil, "name LIKE '%(select%'": nil,
		"a) OR (b": errUnbalanced, "a = 'x": errUnbalanced, "a -- b": errComment, "a; DROP TABLE b": errComment, "a IN (SELECT 1)": errSubquery,
	} {
		if err := CheckExpr(expr); !errors.Is(err, want) {
			t.Errorf("CheckExpr(%q) = %v, want %v", expr, err, want)
		}
	}
}

func TestOrderDependent(t *testing.T) {
	for function, want := range map[string]bool{
		"any": true, "anyIf": true, "ANY_VALUE": true, "first_value": true, "groupArray": true, "groupArrayIf": true, "last_value_respect_nulls": true, "groupArrayOrNull": true,
		"sum": false, "argMax": false, "uniq": false, "quantileExact": false, "groupBitAnd": false, "anyhow": false, "groupArraySorted": false, "sumIf": false,
	} {
		if got := (Call{Function: function}).OrderDependent(); got != want {
			t.Errorf("%s depends on the order: %v", function, got)
		}
	}
}

func TestFunctions(t *testing.T) {
	got := Functions("toDate(Now ()) = f('rand()') AND (a) IN (1)")
	if want := []string{"todate", "now", "f", "and", "in"}; !slices.Equal(got, want) {
		t.Errorf("Functions = %q, want %q", got, want)
	}
}
