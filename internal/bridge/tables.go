package bridge

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
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
	cfg    *config.Table
	source cdc.Table
	sql    *sql.Table

	aggregates []*sql.Aggregate // once ClickHouse was asked about them
}

// planTables joins the configuration with the catalogue. It returns every fault that it finds.
func planTables(cfg *config.Config, catalog []cdc.Table) ([]plan, error) {
	var plans []plan
	var faults []error
	views := map[string]string{}
	for i := range cfg.Tables {
		t := &cfg.Tables[i]
		p, errs := planTable(cfg, t, catalog)
		if len(errs) > 0 {
			faults = append(faults, errs...)
			continue
		}
		if other, taken := views[p.sql.Name]; taken {
			faults = append(faults, fault.New("leave one of them out", "tables %s and %s would both be the view %q", other, p.sql.Source, p.sql.Name))
			continue
		}
		views[p.sql.Name] = p.sql.Source
		plans = append(plans, p)
	}
	return plans, errors.Join(faults...)
}

func planTable(cfg *config.Config, t *config.Table, catalog []cdc.Table) (plan, []error) {
	source := t.Name.Schema + "." + t.Name.Name
	i := slices.IndexFunc(catalog, func(c cdc.Table) bool { return c.Schema == t.Name.Schema && c.Name == t.Name.Name })
	if i < 0 {
		return plan{}, []error{&fault.Error{
			What: fmt.Sprintf("table %s is configured but not in publication %q", source, cfg.Source.Publication),
			Try:  fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s;", quotePostgres(cfg.Source.Publication), quotePostgres(t.Name.Schema)+"."+quotePostgres(t.Name.Name)),
			Err:  errNotPublished,
		}}
	}
	found := catalog[i]
	columns, faults := mapColumns(cfg, t, found)
	if len(faults) > 0 {
		return plan{}, faults
	}
	name := ViewName(found.Schema, found.Name)
	if slices.Contains(sql.ReservedNames(), name) {
		return plan{}, []error{fault.New("leave the table out", "table %s would take the name of tidemark's own %q", source, name)}
	}
	table, err := sql.NewTable(sql.TableConfig{
		Database: sql.Database(cfg.ClickHouse.Database), Source: source, Name: name, Columns: columns,
		Key: found.Key, Date: t.DateColumn, OrderBy: t.OrderBy, PartitionBy: string(t.PartitionBy),
	})
	if err != nil {
		return plan{}, []error{fault.New("name a timestamp or date column, or leave date_column out to mirror the table", "tables.%s.date_column: %w", source, err)}
	}
	return plan{cfg: t, source: found, sql: table}, checkTable(cfg, t, table)
}

// mapColumns maps the published columns that are not excluded.
func mapColumns(cfg *config.Config, t *config.Table, found cdc.Table) ([]sql.Column, []error) {
	var columns []sql.Column
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
		columns = append(columns, column)
	}
	return columns, faults
}

// unknownColumns looks for the columns that the configuration names.
func unknownColumns(t *config.Table, found cdc.Table) (faults []error) {
	published := found.ColumnNames()
	for _, name := range slices.Concat(t.Columns.Exclude, t.OrderBy, slices.Sorted(maps.Keys(t.Columns.Types)),
		slices.Sorted(maps.Keys(t.Columns.OutOfRange)), slices.Sorted(maps.Keys(t.Columns.Codecs))) {
		if !slices.Contains(published, name) {
			faults = append(faults, fault.New("check the name; PostgreSQL folds unquoted names to lower case", "table %s has no published column %q", found.FullName(), name))
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
	column := sql.Column{Name: c.Name, Type: mapped}
	if codec := t.Columns.Codecs[c.Name]; codec != "" {
		column.Codec, err = sql.ParseCodec(c.Name, codec)
	}
	if slices.Contains(reserved, c.Name) {
		return column, fault.New("exclude the column", "column %q has a name that tidemark's internal tables need", c.Name)
	}
	return column, err
}

// reserved are the columns of the internal tables besides the table's own.
var reserved = []string{"_chunk", "_of", "_lsn", "_ordinal", "_insert", "_live", "_unchanged", "_source_0", "_source_1", "_source_2", "_source_3", "_last", "_first_is_insert", "_outlived"}

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

// notices says which parts of the configuration this version does not act on, so that nobody waits for them.
func notices(cfg *config.Config) (out []string) {
	if cfg.OnBadValue == config.HoldTable {
		out = append(out, "on_bad_value: this version stops at a bad value; it does not hold a single table yet")
	}
	if cfg.Verify.Repair {
		out = append(out, "verify.repair: this version does not verify yet")
	}
	return out
}
