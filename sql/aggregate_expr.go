package sql

import (
	"errors"
	"regexp"
	"strings"
)

// Call is a call of an aggregate function: quantile(0.9)(price) has the parameters "(0.9)" and the arguments "(price)".
type Call struct{ Function, Params, Args string }

// errNoCall says what a measure has to look like.
var errNoCall = errors.New("is not one call of an aggregate function, such as sum(price * qty) or quantileExact(0.9)(price)")

// ParseCall takes a measure apart, so that its state can be asked for instead of its result.
func ParseCall(expr string) (Call, error) {
	expr = strings.TrimSpace(expr)
	name := strings.IndexByte(expr, '(')
	if name < 1 || !functionName.MatchString(strings.TrimSpace(expr[:name])) {
		return Call{}, errNoCall
	}
	c := Call{Function: strings.TrimSpace(expr[:name])}
	var rest string
	var err error
	if c.Args, rest, err = group(expr[name:]); err != nil {
		return Call{}, err
	}
	if strings.HasPrefix(rest, "(") {
		c.Params = c.Args
		if c.Args, rest, err = group(rest); err != nil {
			return Call{}, err
		}
	}
	switch {
	case rest != "":
		return Call{}, errNoCall
	case distinct.MatchString(c.Args):
		return Call{}, errDistinct
	}
	return c, nil
}

// The state of count(DISTINCT x) is a number: two of them cannot be merged.
var (
	distinct    = regexp.MustCompile(`(?i)^\(\s*DISTINCT\b`)
	errDistinct = errors.New("has DISTINCT, whose states cannot be merged: write uniqExact(x) for count(DISTINCT x), sumDistinct(x) for sum(DISTINCT x)")
)

var functionName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// State renders the call that gives the state of rows.
func (c Call) State() string { return c.Function + "State" + c.Params + c.Args }

// Merge renders the call that gives the result of the states in a column.
func (c Call) Merge(column string) string {
	return c.Function + "Merge" + c.Params + "(" + column + ")"
}

// MergeState renders the call that gives the state of the states in a column.
func (c Call) MergeState(column string) string {
	return c.Function + "MergeState" + c.Params + "(" + column + ")"
}

// orderDependent matches the functions whose result depends on the order in which rows arrive, with any combinators.
var orderDependent = regexp.MustCompile(`(?i)^(any|any_?value|anyLast|anyHeavy|first_?value|last_?value|groupArray|array_agg|array_concat_agg|groupArrayLast|groupArraySample|` +
	`groupArrayMovingSum|groupArrayMovingAvg|groupUniqArray|groupConcat|group_concat|string_agg|deltaSum|exponentialMovingAverage|timeSeriesGroupArray)` +
	`(_?respect_?nulls)?(If|Array|Map|OrNull|OrDefault|Distinct|ForEach|Resample|ArgMin|ArgMax)*$`)

// OrderDependent reports whether the result depends on the order of rows, which ClickHouse does not keep.
func (c Call) OrderDependent() bool { return orderDependent.MatchString(c.Function) }

// CheckExpr refuses text that is not one expression: what would end, or comment out, the statement around it.
func CheckExpr(expr string) error {
	_, rest, err := group("(" + expr + ")")
	if err == nil && rest != "" {
		err = errUnbalanced
	}
	return err
}

var (
	errUnbalanced = errors.New("has a parenthesis or a quote without its other half")
	errComment    = errors.New("has a comment or a semicolon in it")
	errSubquery   = errors.New("has a subquery in it")
)

// group splits text that begins with a parenthesis after the one that closes it.
func group(text string) (inside, rest string, err error) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth == 0 {
				return text[:i+1], strings.TrimSpace(text[i+1:]), checkWords(text[:i+1])
			}
		case '\'', '"', '`':
			n := quotedLength(text[i:])
			if n == 0 {
				return "", "", errUnbalanced
			}
			i += n - 1
		case ';', '#':
			return "", "", errComment
		case '-', '/':
			if strings.HasPrefix(text[i:], "--") || strings.HasPrefix(text[i:], "/*") {
				return "", "", errComment
			}
		}
	}
	return "", "", errUnbalanced
}

// quotedLength is the length of the quoted text that begins here, 0 when it does not end.
func quotedLength(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i + 1 // a doubled quote begins another quoted text
		}
	}
	return 0
}

var (
	quotedText = regexp.MustCompile("(?s)'(?:[^'\\\\]|\\\\.)*'|\"(?:[^\"\\\\]|\\\\.)*\"|`(?:[^`\\\\]|\\\\.)*`")
	subquery   = regexp.MustCompile(`(?i)\(\s*(SELECT|WITH)\b`)
	called     = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_]*)\s*\(`)
)

func checkWords(text string) error {
	if subquery.MatchString(quotedText.ReplaceAllString(text, "''")) {
		return errSubquery
	}
	return nil
}

// Functions lists the names in an expression that are called, in lower case.
func Functions(expr string) (names []string) {
	for _, m := range called.FindAllStringSubmatch(quotedText.ReplaceAllString(expr, "''"), -1) {
		names = append(names, strings.ToLower(m[1]))
	}
	return names
}
