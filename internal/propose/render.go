package propose

import (
	"fmt"
	"strconv"
	"strings"
)

// Connection is the part of a configuration that is not proposed but given. A DSN that is "" is left to the environment.
type Connection struct {
	Source, ClickHouse          string
	Publication, Slot, TimeZone string
}

const head = `# A proposal of tidemark init: read it, and correct what is wrong. deploy/tidemark.example.yaml explains every key, and
# docs/types.md the types. Then: tidemark check -c <this file>
`

// Render writes a configuration with the reason of each choice as a comment.
func Render(c Connection, tables []Table) string {
	w := &writer{}
	w.line(0, "source:", "")
	w.dsn(c.Source, "TIDEMARK_SOURCE_DSN")
	w.line(1, "publication: "+scalar(c.Publication), "")
	w.line(1, "slot: "+scalar(c.Slot), "made by tidemark run")
	w.line(1, "time_zone: "+scalar(c.TimeZone), "in which the application writes timestamps without time zone, and in which days begin")
	w.line(0, "clickhouse:", "")
	w.dsn(c.ClickHouse, "TIDEMARK_CLICKHOUSE_DSN")
	w.line(0, "rt_window: 30m", "default; a row of this age settles")
	w.line(0, "tables:", "")
	for _, t := range tables {
		w.table(t)
	}
	return head + w.String()
}

type writer struct{ strings.Builder }

// line writes a line and its comment. Line breaks in names stay inside the comment.
func (w *writer) line(depth int, text, why string) {
	w.WriteString(strings.Repeat("  ", depth) + text)
	if why != "" {
		w.WriteString(" # " + strings.Map(printable, why))
	}
	w.WriteByte('\n')
}

func printable(r rune) rune {
	if !strconv.IsPrint(r) {
		return ' '
	}
	return r
}

func (w *writer) dsn(dsn, variable string) {
	if dsn == "" {
		w.line(1, "# dsn: from "+variable, "")
		return
	}
	w.line(1, "dsn: "+scalar(dsn), "")
}

func (w *writer) table(t Table) {
	if t.LeftOut != "" {
		w.line(1, "# "+strings.Map(printable, t.Name)+" is left out: "+strings.Map(printable, t.LeftOut), "")
		return
	}
	columns := t.columns()
	if !t.DateColumn.set() && columns == "" {
		w.line(1, scalar(t.Name)+": {}", note("no column says when a row was made: mirrored as a whole", t.Note))
		return
	}
	w.line(1, scalar(t.Name)+":", t.Note)
	if t.DateColumn.set() {
		w.line(2, "date_column: "+scalar(t.DateColumn.Values[0]), t.DateColumn.Why)
	} else {
		w.line(2, "# without a date_column, because no column says when a row was made: mirrored as a whole", "")
	}
	for _, c := range []struct {
		key string
		Choice
	}{{"rt_window", t.RTWindow}, {"partition_by", t.PartitionBy}} {
		if c.set() {
			w.line(2, c.key+": "+c.Values[0], c.Why)
		}
	}
	if t.OrderBy.set() {
		names := make([]string, len(t.OrderBy.Values))
		for i, name := range t.OrderBy.Values {
			names[i] = scalar(name)
		}
		w.line(2, "order_by: ["+strings.Join(names, ", ")+"]", t.OrderBy.Why)
	}
	w.WriteString(columns)
}

func note(parts ...string) string {
	out := ""
	for _, p := range parts {
		if out != "" && p != "" {
			out += "; "
		}
		out += p
	}
	return out
}

// columns renders what is proposed for single columns.
func (t Table) columns() string {
	w := &writer{}
	for _, group := range []struct {
		key     string
		choices []Choice
	}{{"types", t.Types}, {"out_of_range", t.OutOfRange}, {"codecs", t.Codecs}} {
		if len(group.choices) > 0 {
			w.line(3, group.key+":", "")
		}
		for _, c := range group.choices {
			w.line(4, scalar(c.Column)+": "+scalar(c.Values[0]), c.Why)
		}
	}
	if w.Len() == 0 {
		return ""
	}
	return "    columns:\n" + w.String()
}

// scalar writes a text as YAML: bare where that is certain to be read as this text.
func scalar(text string) string {
	plain := text != "" && strings.IndexFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_./", r)
	}) < 0
	switch strings.ToLower(text) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		plain = false
	}
	if plain && (text[0] >= 'a' && text[0] <= 'z' || text[0] >= 'A' && text[0] <= 'Z') {
		return text
	}
	return fmt.Sprintf("%q", text)
}
