// Package aggregate owns the states of declared aggregates: what ClickHouse says of a declaration, the states of chunks of
// rows, and which of them are merged.
//
//	declaration ──Describe──▶ sql.Aggregate      types and errors are the server's
//	new chunk of rows ──States.Write──▶ <aggregate>_chunks   chunks of states with the same number
//	old clean chunks ──States.Merge──▶ <aggregate>_chunks   a chunk that stands for several
//
// It owns neither the rows nor the mark, which alone says what of it counts (splitdate). A chunk of states lives as long as
// the chunk of rows whose number it has.
package aggregate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/sql"
)

// Describe asks the server about a declaration. It needs no table of ours. The faults name the path in the configuration.
func Describe(ctx context.Context, db *warehouse.Conn, t *sql.Table, c config.Aggregate) (*sql.Aggregate, []error) {
	d := describer{ctx: ctx, db: db, table: t, path: "tables." + t.Source + ".aggregates." + c.Name}
	out := sql.AggregateConfig{Table: t, Name: c.Name, Where: c.Where}
	for _, k := range c.By {
		out.Keys = append(out.Keys, d.key(k))
	}
	for _, m := range c.Measures {
		out.Measures = append(out.Measures, d.measure(m, c.OrderDependent))
	}
	d.filter(c.Where)
	if len(d.faults) > 0 {
		return nil, d.faults
	}
	a, err := sql.NewAggregate(out)
	if err != nil {
		return nil, []error{fault.New("give it another name", "%s: %w", d.path, err)}
	}
	return a, nil
}

// describer collects the faults of one declaration.
type describer struct {
	ctx    context.Context //nolint:containedctx // lives as long as the call of Describe
	db     *warehouse.Conn
	table  *sql.Table
	path   string
	faults []error
}

func (d *describer) fault(where, try string, err error) {
	d.faults = append(d.faults, fault.New(try, "%s%s: %w", d.path, where, err))
}

func (d *describer) key(k config.NamedExpr) sql.Key {
	where := ".by." + k.Name
	out := sql.Key{Expr: k.Expr}
	out.Name = k.Name
	if !d.acceptable(where, k.Expr) {
		return out
	}
	types, err := d.describe(d.table.DescribeKey(k.Expr))
	switch {
	case err != nil:
		d.refused(where, err)
	case strings.HasPrefix(types[0], "Map("), strings.HasPrefix(types[0], "AggregateFunction("):
		d.fault(where, "group by something that can be sorted", fmt.Errorf("is a %s", types[0]))
	default:
		out.Type = sql.Type{Name: types[0]}
	}
	return out
}

func (d *describer) measure(m config.NamedExpr, orderDependent bool) sql.Measure {
	where := ".measures." + m.Name
	out := sql.Measure{}
	out.Name = m.Name
	if !d.acceptable(where, m.Expr) {
		return out
	}
	call, err := sql.ParseCall(m.Expr)
	if err != nil {
		d.fault(where, "write one call per measure; compute with the view's columns in the query", err)
		return out
	}
	if call.OrderDependent() && !orderDependent {
		d.fault(where, "use min, max, argMin or argMax; or add order_dependent: true to the aggregate if any order will do",
			fmt.Errorf("the result of %s depends on the order of rows, which ClickHouse does not keep", call.Function))
		return out
	}
	out.Call = call
	types, err := d.describe(d.table.DescribeMeasure(call, false))
	if err != nil {
		d.refused(where, err)
		return out
	}
	both, err := d.describe(d.table.DescribeMeasure(call, true))
	if err != nil || !strings.HasPrefix(both[1], "AggregateFunction(") {
		d.fault(where, "write one call per measure, such as sum(price * qty)",
			fmt.Errorf("%s is no aggregate function that has states", call.Function))
		return out
	}
	out.Type, out.State = sql.Type{Name: types[0]}, both[1]
	return out
}

func (d *describer) filter(expr string) {
	if expr == "" || !d.acceptable(".where", expr) {
		return
	}
	if _, err := d.describe(d.table.DescribeFilter(expr)); err != nil {
		d.refused(".where", err)
	}
}

// acceptable refuses what the server would take but no state can be kept of.
func (d *describer) acceptable(where, expr string) bool {
	if err := sql.CheckExpr(expr); err != nil {
		d.fault(where, "write one expression over the columns of "+d.table.Source, err)
		return false
	}
	functions := sql.Functions(expr)
	if len(functions) == 0 { // a column; the server looks through all of its functions otherwise
		return true
	}
	var changing []string
	err := d.db.Query(d.ctx, d.db.Database().ListChangingFunctions(), warehouse.Params{"names": warehouse.Texts(functions)}, func(r warehouse.Rows) error {
		var name string
		err := r.Scan(&name)
		changing = append(changing, name)
		return err
	})
	switch {
	case err != nil:
		d.faults = append(d.faults, err)
	case len(changing) > 0:
		d.fault(where, "states are computed once and kept; put it into the query instead",
			fmt.Errorf("the result of %s is not determined by the row", strings.Join(changing, ", ")))
	}
	return err == nil && len(changing) == 0
}

// describe returns the types of what an expression gives.
func (d *describer) describe(s sql.Statement) (types []string, err error) {
	err = d.db.Query(d.ctx, s, nil, func(r warehouse.Rows) error {
		texts := make([]string, 7)
		dest := make([]any, len(texts))
		for i := range texts {
			dest[i] = &texts[i]
		}
		err := r.Scan(dest...)
		types = append(types, texts[1])
		return err
	})
	return types, err
}

// unknownIdentifier is ClickHouse's code of a name that stands for nothing.
const unknownIdentifier = 47

// refused adds ClickHouse's own message, without the statement that it repeats.
func (d *describer) refused(where string, err error) {
	var server *clickhouse.Exception
	if !errors.As(err, &server) {
		d.faults = append(d.faults, err)
		return
	}
	try := "see ClickHouse's documentation of the function; the columns are " + strings.Join(d.columns(), ", ")
	if server.Code == unknownIdentifier {
		try = fmt.Sprintf("an aggregate is over the columns of %s alone (%s): join its view with other views in the query", d.table.Source, strings.Join(d.columns(), ", "))
	}
	d.fault(where, try, fmt.Errorf("ClickHouse says: %s", withoutScope(server.Message)))
}

func (d *describer) columns() (names []string) {
	for _, c := range d.table.Columns {
		names = append(names, c.Shown())
	}
	return names
}

// withoutScope cuts the statement out of a message like "Unknown … In scope SELECT …. Maybe you meant: […]".
func withoutScope(message string) string {
	at := strings.Index(strings.ToLower(message), " in scope ")
	if at < 0 {
		return message
	}
	head := strings.TrimRight(message[:at], " .")
	if hint := strings.LastIndex(message, ". Maybe you meant"); hint > at {
		return head + message[hint:]
	}
	return head
}
