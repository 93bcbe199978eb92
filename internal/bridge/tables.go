package bridge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/shape"
	"github.com/tidemark-db/tidemark/sql"
)

// ViewName is the name of a table's view: the bare name in public, else with the schema before it.
func ViewName(schema, name string) string {
	if schema == "public" {
		return name
	}
	return schema + "_" + name
}

// errNotPublished is in the chain of the error about a table that the publication does not send.
var errNotPublished = errors.New("not published")

// plan is a configured table as both servers will know it.
type plan struct {
	cfg     *config.Table
	source  cdc.Table
	of      shape.Shape // source, and where it lies in ClickHouse
	sql     *sql.Table
	indexed bool // PostgreSQL finds a range of dates without reading the whole table

	leaves []cdc.Leaf // of a partitioned table, as of
	asOf   time.Time

	aggregates []*sql.Aggregate // once ClickHouse was asked about them
}

// unfit is a configured table that cannot be planned.
type unfit struct {
	table *config.Table
	err   error
}

// planTables joins the configuration with the catalogue. It returns every fault that it finds.
func planTables(cfg *config.Config, catalog []cdc.Table) ([]plan, error) {
	plans, bad := planEach(cfg, func(t *config.Table) (plan, []error) { return planTable(cfg, t, catalog) })
	return plans, faultsOf(bad)
}

// planEach plans every table that can be.
func planEach(cfg *config.Config, one func(*config.Table) (plan, []error)) (plans []plan, bad []unfit) {
	views := map[string]string{}
	for i := range cfg.Tables {
		t := &cfg.Tables[i]
		p, errs := one(t)
		if other, taken := "", false; len(errs) == 0 {
			if other, taken = views[p.sql.Name]; taken {
				errs = []error{fault.New("leave one of them out", "tables %s and %s would both be the view %q", other, p.sql.Source, p.sql.Name)}
			}
		}
		if len(errs) > 0 {
			for _, err := range errs {
				bad = append(bad, unfit{t, err})
			}
			continue
		}
		views[p.sql.Name] = p.sql.Source
		if p.sql.Feed {
			if other, taken := views[p.sql.FeedName()]; taken {
				bad = append(bad, unfit{t, fault.New("leave change_feed out, or rename the table", "the change feed of %s would take the name of table %s", p.sql.Source, other)})
			}
			views[p.sql.FeedName()] = "the change feed of " + p.sql.Source
		}
		plans = append(plans, p)
	}
	return plans, bad
}

func faultsOf(bad []unfit) error {
	faults := make([]error, len(bad))
	for i, u := range bad {
		faults[i] = u.err
	}
	return errors.Join(faults...)
}

func planTable(cfg *config.Config, t *config.Table, catalog []cdc.Table) (plan, []error) {
	source := t.Name.String()
	i := slices.IndexFunc(catalog, func(c cdc.Table) bool { return c.Schema == t.Name.Schema && c.Name == t.Name.Name })
	if i < 0 {
		return plan{}, []error{&fault.Error{
			What: fmt.Sprintf("table %s is configured but not in publication %q", source, cfg.Source.Publication),
			Try:  fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s;", quotePostgres(cfg.Source.Publication), quotePostgres(t.Name.Schema)+"."+quotePostgres(t.Name.Name)),
			Err:  errNotPublished,
		}}
	}
	return planShape(cfg, t, shape.Shape{Table: catalog[i]})
}

// planShape joins the configuration of a table with its columns.
func planShape(cfg *config.Config, t *config.Table, of shape.Shape) (plan, []error) {
	found, source := of.Table, t.Name.String()
	columns, faults := mapColumns(cfg, t, of)
	if len(faults) > 0 {
		return plan{}, faults
	}
	name := ViewName(found.Schema, found.Name)
	if slices.Contains(sql.ReservedNames(), name) {
		return plan{}, []error{fault.New("leave the table out", "table %s would take the name of tidemark's own %q", source, name)}
	}
	table, err := sql.NewTable(sql.TableConfig{
		Database: sql.Database(cfg.ClickHouse.Database), Source: source, Name: name, Columns: columns,
		Key: storedNames(columns, found.Key), Date: t.DateColumn, OrderBy: t.OrderBy, PartitionBy: string(t.PartitionBy),
		Since: uint64(of.Since), Narrowed: uint64(of.Narrowed),
		KeepsOld: t.KeepOlderThan > 0, Retains: t.Retain > 0, Feed: t.ChangeFeed > 0,
	})
	if err != nil {
		return plan{}, []error{fault.New("name a timestamp or date column, or leave date_column out to mirror the table", "tables.%s.date_column: %w", source, err)}
	}
	if err := table.CheckName(); err != nil {
		return plan{}, []error{err}
	}
	return plan{cfg: t, source: found, of: of, sql: table}, checkTable(cfg, t, table)
}

// storedNames are the names in the internals of columns given by PostgreSQL's.
func storedNames(columns []sql.Column, names []string) []string {
	out := slices.Clone(names)
	for i, name := range names {
		for _, c := range columns {
			if c.Shown() == name {
				out[i] = c.Name
			}
		}
	}
	return out
}

// mapColumns maps the published columns that are not excluded.
func mapColumns(cfg *config.Config, t *config.Table, of shape.Shape) ([]sql.Column, []error) {
	var columns []sql.Column
	found := of.Table
	faults := unknownColumns(t, found)
	for _, c := range found.Columns {
		if slices.Contains(t.Columns.Exclude, c.Name) {
			if slices.Contains(found.Key, c.Name) {
				faults = append(faults, fault.New("keep it", "tables.%s.columns.exclude: %q is part of the key", found.FullName(), c.Name))
			}
			continue
		}
		column, err := mapColumn(cfg, t, found, c)
		if err != nil {
			faults = append(faults, fault.New(fault.Try(err), "tables.%s.columns: %w", found.FullName(), err))
			continue
		}
		if name, ok := of.Stored[c.Number]; ok {
			column.Name, column.Alias = name, c.Name
		}
		columns = append(columns, column)
	}
	return columns, append(faults, subcolumns(found, columns)...)
}

// subcolumns finds columns that ClickHouse takes for a part of another one: it reads the sizes of a String s as s.size.
func subcolumns(found cdc.Table, columns []sql.Column) (faults []error) {
	for _, c := range columns {
		dot := strings.LastIndex(c.Name, ".")
		if dot < 0 || !slices.Contains([]string{"null", "size", "size0"}, c.Name[dot+1:]) {
			continue
		}
		if slices.ContainsFunc(columns, func(other sql.Column) bool { return other.Name == c.Name[:dot] }) {
			faults = append(faults, fault.New("exclude one of the two columns, or rename it",
				"tables.%s.columns: ClickHouse takes %q for a part of column %q", found.FullName(), c.Name, c.Name[:dot]))
		}
	}
	return faults
}

// unknownColumns looks for the columns that the configuration names.
func unknownColumns(t *config.Table, found cdc.Table) (faults []error) {
	published := found.ColumnNames()
	for _, named := range []struct {
		key     string
		columns []string
	}{
		{"columns.exclude", t.Columns.Exclude},
		{"order_by", t.OrderBy},
		{"columns.types", slices.Sorted(maps.Keys(t.Columns.Types))},
		{"columns.out_of_range", slices.Sorted(maps.Keys(t.Columns.OutOfRange))},
		{"columns.codecs", slices.Sorted(maps.Keys(t.Columns.Codecs))},
	} {
		for _, name := range named.columns {
			if !slices.Contains(published, name) {
				faults = append(faults, fault.New("name one of "+strings.Join(published, ", ")+"; a running bridge takes the file on SIGHUP",
					"tables.%s.%s: table %[1]s has no published column %[3]q", found.FullName(), named.key, name))
			}
		}
	}
	return faults
}

func mapColumn(cfg *config.Config, t *config.Table, found cdc.Table, c cdc.Column) (sql.Column, error) {
	key := slices.Contains(found.Key, c.Name)
	source := sql.SourceColumn{
		Name: c.Name, TypeOID: c.BaseTypeOID, TypeMod: c.BaseTypeMod, TypeName: c.TypeName, Enum: c.Enum,
		NotNull: c.NotNull || key, Key: key,
	}
	switch {
	case c.ElemTypeOID == 0:
	case c.Dimensions > 1: // text, whatever its elements are
		source.Enum = false
	default:
		source.Array, source.TypeOID, source.TypeMod = true, c.ElemTypeOID, c.ElemTypeMod
	}
	given := t.Columns.Types[c.Name]
	mapped, err := sql.MapType(source, cfg.Source.TimeZone.Name, sql.Override{
		Type: given.Type, Lossy: given.Lossy, OutOfRange: sql.OutOfRange(t.Columns.OutOfRange[c.Name]),
	})
	if err != nil {
		return sql.Column{}, err
	}
	column := sql.Column{Name: c.Name, Type: mapped, Binary: sql.BinaryOf(source, mapped)}
	if codec := t.Columns.Codecs[c.Name]; codec != "" {
		column.Codec, err = sql.ParseCodec(c.Name, codec)
	}
	if slices.Contains(reserved, c.Name) {
		return column, fault.New("exclude the column, or rename it", "column %q has a name that ClickHouse keeps for itself", c.Name)
	}
	return column, err
}

// reserved are ClickHouse's virtual columns. It lets no table have some of them, and mistakes others when it looks for the
// parts that a query needs.
var reserved = []string{
	"_block_number", "_block_offset", "_database", "_disk_name", "_distance", "_part", "_part_data_version", "_part_granule_offset", "_part_index",
	"_part_offset", "_part_starting_offset", "_part_uuid", "_partition_id", "_partition_value", "_row_exists", "_sample_factor", "_table",
}

func checkTable(cfg *config.Config, t *config.Table, table *sql.Table) (faults []error) {
	if t.Mirrored() {
		return nil
	}
	typ := table.DateType()
	if !typ.DateColumn() {
		return []error{fault.New("name a timestamp or date column, or leave date_column out to mirror the table",
			"tables.%s.date_column: %q is a %s", table.Source, t.DateColumn, typ.Name)}
	}
	if typ.Kind != sql.KindTimestampTZ && cfg.Source.TimeZone.Name == "" {
		return []error{fault.New("set source.time_zone to the zone in which the application writes it, such as Europe/Berlin or UTC",
			"tables.%s.date_column: %q has no time zone of its own, and source.time_zone is not set", table.Source, t.DateColumn)}
	}
	if (typ.Kind == sql.KindDate || typ.Kind == sql.KindDate32) && t.RTWindow < minDateWindow {
		return []error{fault.New("set rt_window: 24h or more for this table",
			"tables.%s.rt_window: %s is less than a day, but %q is a date", table.Source, t.RTWindow, t.DateColumn)}
	}
	return nil
}
