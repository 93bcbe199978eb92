package sql

import (
	"regexp"
	"strings"
)

// compute renders the call over rows whose result is kept.
func (m Measure) compute() string {
	if m.combine != "" {
		return m.Call.Function + m.Call.Args
	}
	return m.Call.State()
}

// merge renders the call that makes one of what is kept in a column.
func (m Measure) merge(column string) string {
	if m.combine != "" {
		return m.combine + "(" + column + ")"
	}
	return m.Call.MergeState(column)
}

// result renders the call that gives the measure of what is kept in a column.
func (m Measure) result(column string) string {
	if m.combine != "" {
		return m.combine + "(" + column + ")"
	}
	return m.Call.Merge(column)
}

// combiner is the function by which results of parts become the result of the whole, "" if states are needed for that. The
// sum of a million sums takes a fifth of the time of merging as many states, which ClickHouse makes an object of each.
//
// minIf and maxIf are not among them: where no row passes they return the type's default. Neither are min and max without
// a key, which do that for a chunk without rows.
func combiner(c Call, result string, keyed bool) string {
	if c.Params != "" {
		return ""
	}
	switch f := strings.ToLower(c.Function); {
	case (f == "sum" || f == "count" || f == "sumif" || f == "countif") && sums.MatchString(result):
		return "sum"
	case (f == "min" || f == "max") && keyed && ordered.MatchString(result):
		return f
	}
	return ""
}

// The types whose sum has the same type again, and those whose smallest value is the same in whatever order they are seen.
var (
	sums    = regexp.MustCompile(`^(Nullable\()?(U?Int(64|128|256)|Float64|Decimal\((38|76), \d+\))\)?$`)
	ordered = regexp.MustCompile(`^(Nullable\()?(U?Int(8|16|32|64|128|256)|Decimal\(\d+, \d+\)|Date|Date32|DateTime|DateTime64|DateTime\('[^']*'\)|DateTime64\(\d(, '[^']*')?\)|String|UUID|Bool)\)?$`)
)
