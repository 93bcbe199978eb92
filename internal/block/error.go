package block

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// ValueError says that a value cannot be held by its ClickHouse column. Nothing was appended for it.
type ValueError struct {
	Column string
	Type   string // the ClickHouse type
	Value  string // PostgreSQL's text, shortened
	Reason string
	Try    string
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("column %s: %s cannot hold %s: %s", e.Column, e.Type, e.Value, e.Reason)
}

// As makes fault.Try find the remedy without the caller's help.
func (e *ValueError) As(target any) bool {
	f, ok := target.(**fault.Error)
	if ok {
		*f = &fault.Error{What: e.Error(), Try: e.Try, Err: e}
	}
	return ok
}

// refusal is why a column did not take a text. The hot path returns pointers to the variables below and allocates
// nothing; the ValueError is made from one when it leaves the package.
type refusal struct {
	reason  string
	use     string // the type that would hold the value
	outside bool   // the value is one of its PostgreSQL type, but beyond the range of the column's
}

var (
	refuseNumber     = &refusal{"it is not written as PostgreSQL writes a number", "String", false}
	refuseFloat      = &refusal{"it is not written as PostgreSQL writes a float of this width", "String", false}
	refuseBool       = &refusal{"it is not written as PostgreSQL writes a boolean", "String", false}
	refuseUUID       = &refusal{"it is not written as PostgreSQL writes a uuid", "String", false}
	refuseBytea      = &refusal{"it is not written as PostgreSQL writes a bytea in hex", "String", false}
	refuseTime       = &refusal{"it is not written as PostgreSQL writes a date or time in ISO style", "String", false}
	refuseInt        = &refusal{"it is out of the type's range", "String", true}
	refuseSpecial    = &refusal{"a Decimal has no NaN and no infinity", "String", true}
	refuseDigits     = &refusal{"it has more digits before the point than the type", "String", true}
	refuseScale      = &refusal{"it has more digits after the point than the type", "String", false}
	refuseInfinity   = &refusal{"ClickHouse has no infinite dates and times", "String", true}
	refuseRange      = &refusal{"it is outside the dates of the type, " + rangeDateTime, "String", true}
	refuseDate       = &refusal{"it is outside the dates of the type, " + rangeDate, "Date32", true}
	refuseBinary     = &refusal{"it is not what PostgreSQL's binary format has of the type", "String", false}
	refuseArray      = &refusal{"it is not written as PostgreSQL writes an array", "String", false}
	refuseDimensions = &refusal{"an Array has one dimension", "String", false}
	refuseLowerBound = &refusal{"an Array begins at 1", "String", false}
	refuseElement    = &refusal{"its elements have no NULL", "", false}
	refuseGap        = &refusal{"the type's time zone has no such wall-clock time", "DateTime64(6, 'UTC')", false}
	refuseOffset     = &refusal{"ClickHouse does not show this time exactly in the type's time zone", "DateTime64(6, 'UTC')", false}
)

const (
	rangeDateTime = "1900-01-01 to 2299-12-31"
	rangeDate     = "1970-01-01 to 2149-06-06"
)

func (c *buffer) refuse(r *refusal, text []byte) *ValueError {
	use := r.use
	if r == refuseElement {
		use = "Array(Nullable(" + c.elem.typ.Name + "))"
	}
	e := &ValueError{Column: c.alias, Type: c.typ.Name, Value: shorten(text), Reason: r.reason, Try: c.retype(use)}
	if r.outside {
		e.Try = fmt.Sprintf("say in the table's columns.out_of_range what to do with such values, {%s: clamp} or {%s: null}, or ", c.alias, c.alias) + e.Try
	}
	return e
}

func (c *buffer) retype(use string) string {
	return fmt.Sprintf("give the column another type in the table's columns.types, {%s: %q}, or correct the value in PostgreSQL", c.alias, use)
}

func (c *buffer) refuseNull() *ValueError {
	use, why := "Nullable("+c.typ.Name+")", "the column was NOT NULL when its table was made"
	if inner, ok := strings.CutPrefix(c.typ.Name, "LowCardinality("); ok {
		use = "LowCardinality(Nullable(" + inner + ")"
	}
	if c.elem != nil {
		use, why = "Nullable(String)", "an Array has no NULL"
	}
	return &ValueError{Column: c.alias, Type: c.typ.Name, Value: "NULL", Reason: why, Try: c.retype(use)}
}

// shorten quotes what a person needs to find the value, never a whole document.
func shorten(text []byte) string {
	const most = 64
	if len(text) <= most {
		return fmt.Sprintf("%q", text)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return fmt.Sprintf("%q… (%d bytes)", text[:cut], len(text))
}
