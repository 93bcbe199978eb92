package config

import (
	"fmt"
	"slices"
	"time"
)

// config reads every key. A key that is not read here is unknown.
func (r *reader) config(c *Config, root *node) {
	s := r.section("", root)
	r.source(&c.Source, s.sub("source"))
	r.clickHouse(&c.ClickHouse, s.sub("clickhouse"))
	field(s, "rt_window", &c.RTWindow, parseDuration)
	field(s, "tick", &c.Tick, parseDuration)
	field(s, "split_step", &c.SplitStep, parseDuration)
	r.schedules(&c.Schedule, s.sub("schedule"))
	r.verify(&c.Verify, s.sub("verify"))
	r.limits(&c.Limits, s.sub("limits"))
	r.http(&c.HTTP, s.sub("http"))
	field(s, "on_bad_value", &c.OnBadValue, oneOf(Stop, HoldTable))
	r.tables(c, s.sub("tables"))
	s.done()
}

func (r *reader) source(c *Source, s *section) {
	var origin target
	field(s, "dsn", &origin, parsePostgresDSN)
	c.DSN, c.Database = origin.dsn, origin.database
	field(s, "publication", &c.Publication, parseIdentifier)
	field(s, "slot", &c.Slot, parseSlot)
	field(s, "time_zone", &c.TimeZone, parseTimeZone)
	s.done()
}

func (r *reader) clickHouse(c *ClickHouse, s *section) {
	var views target
	field(s, "dsn", &views, parseClickHouseDSN)
	c.DSN, c.Database = views.dsn, views.database
	s.done()
}

func (r *reader) schedules(c *Schedules, s *section) {
	field(s, "roll", &c.Roll, parseSchedule)
	field(s, "resync", &c.Resync, parseSchedule)
	field(s, "verify", &c.Verify, parseSchedule)
	s.done()
}

func (r *reader) verify(c *Verify, s *section) {
	field(s, "last", &c.Last, parseDuration)
	field(s, "repair", &c.Repair, parseBool)
	field(s, "rows_per_second", &c.RowsPerSecond, parseCount[int64])
	s.done()
}

func (r *reader) limits(c *Limits, s *section) {
	field(s, "max_query_age", &c.MaxQueryAge, parseDuration)
	field(s, "kept_bytes", &c.KeptBytes, parseByteSize)
	field(s, "max_snapshot_age", &c.MaxSnapshotAge, parseDuration)
	field(s, "late_rows", &c.LateRows, parseCount[int64])
	field(s, "copy_workers", &c.CopyWorkers, parseCount[int])
	field(s, "copy_rows_per_second", &c.CopyRowsPerSecond, parseCount[int64])
	s.done()
}

func (r *reader) http(c *HTTP, s *section) {
	field(s, "listen", &c.Listen, parseListen)
	field(s, "token_file", &c.TokenFile, parseString)
	field(s, "pprof", &c.Pprof, parseBool)
	s.done()
}

func (r *reader) tables(c *Config, s *section) {
	written := map[TableName]bool{}
	keys := s.named(2)
	if len(keys) == 0 && r.good(s.path) {
		r.faultAt(s.path, "name each published table, e.g. public.stores: {}", "names no table")
	}
	for _, key := range keys {
		name, err := ParseTableName(key)
		if err != nil {
			r.fault(Fault{
				Path: join(s.path, key), At: s.origin(key), What: err.Error(),
				Try: `write schema.table; a part with a dot or a quote is put in double quotes, e.g. '"we.ird"."Tab"'`,
			})
			continue
		}
		path := join(s.path, name.String())
		r.origins[path] = s.origin(key)
		if written[name] {
			r.faultAt(path, "keep one of the two", "is named twice")
			continue
		}
		written[name] = true
		t := Table{Name: name}
		r.table(&t, r.section(path, s.node.get(key)), c.RTWindow)
		c.Tables = append(c.Tables, t)
	}
}

func (r *reader) table(t *Table, s *section, window time.Duration) {
	field(s, "date_column", &t.DateColumn, parseIdentifier)
	s.names("order_by", &t.OrderBy)
	if !t.Mirrored() {
		t.PartitionBy, t.RTWindow = ByDay, window
	}
	field(s, "partition_by", &t.PartitionBy, oneOf(ByHour, ByDay, ByMonth))
	field(s, "rt_window", &t.RTWindow, parseDuration)
	s.deletes(t)
	field(s, "retain", &t.Retain, parseDuration)
	field(s, "change_feed", &t.ChangeFeed, parseDuration)
	r.columns(&t.Columns, s.sub("columns"))
	r.aggregates(t, s.sub("aggregates"))
	s.done()
	r.values[s.path] = true
}

// deletes reads "apply", or {keep_older_than: 90d}.
func (s *section) deletes(t *Table) {
	long := &section{r: s.r, path: join(s.path, "deletes"), node: s.node.get("deletes")}
	if len(long.named(1)) == 0 {
		field(s, "deletes", new(string), func(text string) (string, error) {
			if text != "apply" {
				return "", invalidf("write apply, or {keep_older_than: 90d}", "is not apply")
			}
			return text, nil
		})
		return
	}
	s.known = append(s.known, "deletes")
	field(long, "keep_older_than", &t.KeepOlderThan, parseDuration)
	long.done()
}

func (r *reader) columns(c *Columns, s *section) {
	s.names("exclude", &c.Exclude)
	c.Types = byColumn(s.sub("types"), r.columnType)
	c.OutOfRange = byColumn(s.sub("out_of_range"), func(s *section, column string) (o OutOfRange) {
		s.wordNull(column)
		field(s, column, &o, oneOf(Clamp, Null))
		return o
	})
	c.Codecs = byColumn(s.sub("codecs"), func(s *section, column string) (codec string) {
		field(s, column, &codec, parseString)
		return codec
	})
	s.done()
}

// byColumn reads a mapping whose keys are columns. It is nil when nothing is written.
func byColumn[T comparable](s *section, read func(s *section, column string) T) map[string]T {
	var out map[string]T
	for _, column := range s.named(1) {
		if out == nil {
			out = map[string]T{}
		}
		path := join(s.path, quotePart(column))
		s.r.origins[path] = s.origin(column)
		out[column] = read(s, column)
		var none T
		if out[column] == none && s.r.good(path) {
			s.r.faultAt(path, "write it after the column's name, or remove the name", "is empty")
		}
	}
	return out
}

// columnType reads a type, or {type: ..., lossy: true}.
func (r *reader) columnType(s *section, column string) (t ColumnType) {
	node := s.node.get(column)
	if long := (&section{r: r, path: join(s.path, quotePart(column)), node: node}); len(long.named(1)) > 0 {
		field(long, "type", &t.Type, parseString)
		field(long, "lossy", &t.Lossy, parseBool)
		long.done()
		if path := join(long.path, "type"); t.Type == "" && r.good(path) {
			r.origins[path] = s.origin(column)
			r.faultAt(path, "write the ClickHouse type, e.g. {type: Float64, lossy: true}", "is missing")
		}
		return t
	}
	field(s, column, &t.Type, parseString)
	return t
}

func (r *reader) aggregates(t *Table, s *section) {
	for _, key := range s.named(1) {
		path := join(s.path, quotePart(key))
		r.origins[path] = s.origin(key)
		if err := checkIdentifier(key); err != nil {
			r.faultAt(path, "give the aggregate a name", "%v", err)
		}
		a := Aggregate{Name: key}
		r.aggregate(&a, r.section(path, s.node.get(key)))
		t.Aggregates = append(t.Aggregates, a)
	}
}

func (r *reader) aggregate(a *Aggregate, s *section) {
	a.By = s.sub("by").exprs()
	a.Measures = s.sub("measures").exprs()
	field(s, "where", &a.Where, parseString)
	field(s, "order_dependent", &a.OrderDependent, parseBool)
	s.done()
}

// exprs reads a mapping of free names to expressions.
func (s *section) exprs() []NamedExpr {
	var out []NamedExpr
	for _, name := range s.named(1) {
		e := NamedExpr{Name: name}
		field(s, name, &e.Expr, parseString)
		if path := join(s.path, quotePart(name)); e.Expr == "" && !s.r.bad[path] {
			s.r.faultAt(path, "write it after the name, or remove the name", "is empty")
		}
		out = append(out, e)
	}
	return out
}

// origin returns where a key with a free name was written.
func (s *section) origin(key string) Origin {
	if s.node != nil {
		if e := s.node.find(key); e != nil {
			return Origin{s.r.file, e.line}
		}
	}
	return flagOrigin
}

// oneOf returns a parser that takes the given words.
func oneOf[T ~string](words ...T) func(string) (T, error) {
	return func(text string) (T, error) {
		if slices.Contains(words, T(text)) {
			return T(text), nil
		}
		return "", invalidf("write one of them", "is not %s", orList(words))
	}
}

func orList[T ~string](words []T) string {
	out := string(words[0])
	for i, word := range words[1:] {
		sep := ", "
		if i == len(words)-2 {
			sep = " or "
		}
		out = fmt.Sprintf("%s%s%s", out, sep, string(word))
	}
	return out
}
