package sql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// choices are the types that a column may be given in the configuration.
type choices struct {
	what  string   // for the message
	exact []string // hold every value exactly, or are checked value by value
	lossy []string // need the word lossy
}

// Forms of types with parameters.
const (
	anyDecimal = "Decimal(p, s)"
	anyTime    = "DateTime64(6, '<zone>')"
)

var integers = []string{"Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "String"}

func overridesOf(c SourceColumn) choices {
	if c.Enum {
		return choices{"an enum", []string{"LowCardinality(String)", "String"}, nil}
	}
	switch c.TypeOID {
	case oidInt2:
		return choices{"an integer", append(slices.Clone(integers), "Float32", "Float64"), nil}
	case oidInt4:
		return choices{"an integer", append(slices.Clone(integers), "Float64"), []string{"Float32"}}
	case oidInt8:
		return choices{"an integer", integers, []string{"Float64", "Float32"}}
	case oidOID:
		return choices{"an oid", []string{"UInt32", "UInt64", "String"}, nil}
	case oidNumeric:
		return choices{"a numeric", []string{anyDecimal, "String"}, []string{"Float64", "Float32"}}
	case oidTimestamp, oidTimestampTZ:
		return choices{"a timestamp", []string{anyTime, "String"}, nil}
	case oidDate:
		return choices{"a date", []string{"Date32", "Date", "String"}, nil}
	case oidBool:
		return choices{"a boolean", []string{"Bool", "String"}, nil}
	case oidFloat4:
		return choices{"a real", []string{"Float32", "String"}, nil}
	case oidFloat8:
		return choices{"a double precision", []string{"Float64", "String"}, []string{"Float32"}}
	case oidUUID:
		return choices{"a uuid", []string{"UUID", "String"}, nil}
	case oidBytea:
		return choices{"a bytea", []string{"String"}, nil}
	default:
		return choices{"text", []string{"String", "LowCardinality(String)"}, nil}
	}
}

// override reads one configured type.
type override struct {
	column  SourceColumn
	zone    *time.Location
	text    string
	lossy   bool
	choices choices
}

func (o *override) refuse(why string) error {
	return fault.New("use one of "+strings.Join(o.choices.exact, ", ")+", or remove the entry",
		"type %q of column %s: %s, which is %s in PostgreSQL (%s)", o.text, o.column.Name, why, o.choices.what, o.column.TypeName)
}

// overrideType takes Nullable(…) on a NOT NULL column too: it is how one prepares for a later DROP NOT NULL.
func overrideType(c SourceColumn, loc *time.Location, given Override) (t Type, nullable bool, err error) {
	o := &override{column: c, zone: loc, text: given.Type, lossy: given.Lossy, choices: overridesOf(c)}
	if c.Array {
		o.choices = arrayChoices(o.choices)
	}
	if c.Key && o.lossy {
		return t, false, fault.New("remove lossy: two keys could become one", "type %q of column %s: a key cannot be lossy", o.text, c.Name)
	}
	base, nullable := unwrapNullable(compact(given.Type))
	if inner, ok := unwrap(base, "Array"); ok && c.Array {
		t, err = o.array(inner, nullable)
		return t, false, err
	}
	t, err = o.scalar(base, func(form string) string { return form })
	if c.Array { // the text of the whole
		t.Kind = KindString
	}
	return t, nullable || !c.NotNull, err
}

// arrayChoices has no LowCardinality elements: see elementType.
func arrayChoices(elem choices) choices {
	out := choices{what: "an array", exact: []string{"String"}}
	for _, name := range elem.exact {
		if !strings.HasPrefix(name, "LowCardinality") {
			out.exact = append(out.exact, arrayForm(name))
		}
	}
	for _, name := range elem.lossy {
		out.lossy = append(out.lossy, arrayForm(name))
	}
	return out
}

func arrayForm(elem string) string { return "Array(" + elem + ")" }

// array reads Array(inner). Its elements are what a column of their type may be.
func (o *override) array(inner string, nullable bool) (Type, error) {
	switch {
	case nullable:
		return Type{}, o.refuse("cannot be Nullable in ClickHouse")
	case dotted(o.column.Name):
		return Type{}, o.refuse("needs a column without a dot in its name, or ClickHouse takes it for a part of a Nested")
	case o.column.Key:
		return Type{}, o.refuse("cannot be a key")
	}
	base, nullable := unwrapNullable(inner)
	t, err := o.scalar(base, arrayForm)
	if err != nil {
		return Type{}, err
	}
	array := arrayOf(finish(t, nullable))
	array.Lossy = o.lossy
	return array, nil
}

// scalar reads a type without Nullable; within makes of its form that of the whole type.
func (o *override) scalar(text string, within func(string) string) (Type, error) {
	t, form, err := parseType(text)
	if err != nil {
		return Type{}, o.refuse(err.Error())
	}
	form = within(form)
	exact := slices.Contains(o.choices.exact, form)
	if t.Kind == KindTimestamp && exact && t.Scale < digitsOf(o.column) {
		exact, o.choices.lossy = false, []string{form}
	}
	switch {
	case exact || o.lossy && slices.Contains(o.choices.lossy, form):
	case slices.Contains(o.choices.lossy, form):
		return Type{}, fault.New(fmt.Sprintf("write {type: %q, lossy: true} if that is meant, or use one of %s", o.text, strings.Join(o.choices.exact, ", ")),
			"type %q of column %s: cannot hold the column exactly, which is %s in PostgreSQL (%s)", o.text, o.column.Name, o.choices.what, o.column.TypeName)
	default:
		return Type{}, o.refuse("cannot hold the column exactly")
	}
	t.Lossy = o.lossy
	return o.fitSource(t), nil
}

// digitsOf returns how many digits of a second a timestamp's declaration lets through.
func digitsOf(c SourceColumn) int {
	if c.TypeMod >= 0 && c.TypeMod < maxDigits {
		return int(c.TypeMod)
	}
	return maxDigits
}

// fitSource completes a parsed type with what only the source column tells.
func (o *override) fitSource(t Type) Type {
	switch {
	case t.Kind == KindTimestamp && o.column.TypeOID == oidTimestampTZ:
		t.Kind = KindTimestampTZ
	case t.Kind == KindString && o.column.TypeOID == oidBytea:
		t.Kind = KindBytes
	case t.Kind == KindDate, t.Kind == KindDate32:
		t.Zone = o.zone
	}
	return t
}

// checkOutOfRange refuses a policy where no value can be out of range, or where it would make one key of two.
func checkOutOfRange(c SourceColumn, t Type, o OutOfRange) error {
	switch {
	case o == RefuseOutOfRange:
		return nil
	case c.Key:
		return fault.New("remove the entry: two keys could become one", "out_of_range of column %s: a key cannot be changed", c.Name)
	case t.ranged(), t.Kind == KindArray && t.Elem.ranged():
		return nil
	default:
		return fault.New("remove the entry", "out_of_range of column %s: no value is out of the range of its type", c.Name)
	}
}

// ranged says whether the type has a smallest and a largest value.
func (t Type) ranged() bool {
	switch t.Kind {
	case KindDecimal, KindInt8, KindInt16, KindInt32, KindInt64, KindUInt8, KindUInt16, KindUInt32, KindUInt64:
		return true
	default:
		return t.DateColumn()
	}
}

// withOutOfRange gives the policy to what holds the values: of an Array, the elements.
func (t Type) withOutOfRange(o OutOfRange) Type {
	if t.Kind != KindArray {
		t.OutOfRange = o
		return t
	}
	elem := *t.Elem
	elem.OutOfRange = o
	elem = finish(elem, elem.Nullable || o == NullOutOfRange)
	t.Elem = &elem
	return t
}

// compact drops white space, which no accepted type needs.
func compact(text string) string { return strings.Join(strings.Fields(text), "") }

// unwrapNullable takes Nullable off X, from Nullable(X) and from LowCardinality(Nullable(X)).
func unwrapNullable(text string) (base string, nullable bool) {
	if inner, ok := unwrap(text, "Nullable"); ok {
		return inner, true
	}
	if inner, ok := unwrap(text, "LowCardinality"); ok {
		if inner, ok = unwrap(inner, "Nullable"); ok {
			return "LowCardinality(" + inner + ")", true
		}
	}
	return text, false
}

func unwrap(text, name string) (string, bool) {
	inner, ok := strings.CutPrefix(text, name+"(")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(inner, ")")
}

// parseType reads a type without white space and without Nullable; form is its entry in choices.
func parseType(text string) (t Type, form string, err error) {
	if args, ok := unwrap(text, "Decimal"); ok {
		t, err = parseDecimalType(args)
		return t, anyDecimal, err
	}
	if args, ok := unwrap(text, "DateTime64"); ok {
		t, err = parseTimeType(args)
		return t, anyTime, err
	}
	for kind, name := range kindNames {
		if name == text {
			return Type{Kind: kind}, name, nil
		}
	}
	return Type{}, "", fmt.Errorf("is not a type that tidemark writes")
}

func parseDecimalType(args string) (Type, error) {
	p, s, _ := strings.Cut(args, ",")
	precision, err := strconv.Atoi(p)
	if err != nil || precision < 1 || precision > maxDecimalPrecision {
		return Type{}, fmt.Errorf("needs a precision from 1 to %d", maxDecimalPrecision)
	}
	scale, err := strconv.Atoi(s)
	if err != nil || scale < 0 || scale > precision {
		return Type{}, fmt.Errorf("needs a scale from 0 to its precision")
	}
	return Type{Kind: KindDecimal, Precision: precision, Scale: scale}, nil
}

func parseTimeType(args string) (Type, error) {
	digits, quoted, _ := strings.Cut(args, ",")
	zone, ok := strings.CutPrefix(quoted, "'")
	if ok {
		zone, ok = strings.CutSuffix(zone, "'")
	}
	scale, err := strconv.Atoi(digits)
	if err != nil || scale < 0 || scale > maxDigits || !ok {
		return Type{}, fmt.Errorf("needs 0 to %d digits and a zone in quotes", maxDigits)
	}
	loc, err := loadZone(zone)
	if err != nil {
		return Type{}, err
	}
	return Type{Kind: KindTimestamp, Scale: scale, Zone: loc}, nil
}
