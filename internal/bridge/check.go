package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
)

// Finding is one thing that check looked at.
type Finding struct {
	State string `json:"state"` // ok, warn or fail
	Where string `json:"where"` // the server, table or column
	What  string `json:"what"`
	Try   string `json:"try,omitempty"`
}

// The states of a finding.
const (
	OK   = "ok"
	Warn = "warn"
	Fail = "fail"
)

// Check looks at everything that a start depends on and changes nothing. The findings tell what is wrong; an error tells
// why it could not look further.
func Check(ctx context.Context, cfg *config.Config) ([]Finding, error) {
	f := findings{source: SourceConfig(cfg)}
	f.clickhouse(ctx, cfg)
	if f.postgres(ctx, cfg) {
		f.tables(ctx, cfg)
	}
	return f.list, nil
}

type findings struct {
	source cdc.Config
	list   []Finding
}

func (f *findings) add(state, where, what, try string) {
	f.list = append(f.list, Finding{State: state, Where: where, What: what, Try: try})
}

// fail adds every error that err joins, but for those that PostgreSQL's own checks report.
func (f *findings) fail(where string, err error) {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range list.Unwrap() {
			f.fail(where, e)
		}
		return
	}
	if !errors.Is(err, errNotPublished) {
		f.add(Fail, where, err.Error(), fault.Try(err))
	}
}

func (f *findings) clickhouse(ctx context.Context, cfg *config.Config) {
	db, err := OpenWarehouse(ctx, cfg, Options{})
	if err != nil {
		f.fail("ClickHouse", err)
		return
	}
	defer db.Close()
	v, err := db.ServerVersion(ctx)
	if err != nil {
		f.fail("ClickHouse", err)
		return
	}
	f.add(OK, "ClickHouse", fmt.Sprintf("version %s at %s", v, cfg.ClickHouse.DSN), "")
	if err := checkTarget(ctx, db); err != nil {
		f.fail("ClickHouse", err)
		return
	}
	if err := f.marks(ctx, db); err != nil {
		f.fail("ClickHouse", err)
	}
	f.definers(ctx, db)
}

func (f *findings) marks(ctx context.Context, db *warehouse.Conn) error {
	mark, ok, err := splitdate.NewStore(db).Newest(ctx)
	switch {
	case err != nil:
		return err
	case ok:
		f.add(OK, "ClickHouse", fmt.Sprintf("newest mark: term %d, epoch %d, %s", mark.Term, mark.Epoch, mark.LSN), "")
	default:
		f.add(OK, "ClickHouse", fmt.Sprintf("database %s holds no tables of tidemark yet", db.Database()), "")
	}
	return nil
}

// definers lists views over ours that break the promise: each reads a mark of its own.
func (f *findings) definers(ctx context.Context, db *warehouse.Conn) {
	err := db.Query(ctx, db.Database().ListDefiners(), warehouse.Params{"database": string(db.Database())},
		func(r warehouse.Rows) error {
			var database, name string
			if err := r.Scan(&database, &name); err != nil {
				return err
			}
			f.add(Warn, database+"."+name, "is a view with SQL SECURITY DEFINER over tidemark's views: a query that names it and another view may see two states",
				"create it again with SQL SECURITY INVOKER")
			return nil
		})
	if err != nil {
		f.fail("ClickHouse", err)
	}
}

// postgres reports whether the catalogue can be read.
func (f *findings) postgres(ctx context.Context, cfg *config.Config) bool {
	errs := cdc.Preflight(ctx, SourceConfig(cfg), tableNames(cfg))
	failed := false
	for _, err := range errs {
		switch {
		case errors.Is(err, cdc.ErrNoKey):
			f.add(Warn, "PostgreSQL", err.Error(), fault.Try(err))
		case errors.Is(err, cdc.ErrSlotInUse) && bridgeRuns(ctx, cfg):
			f.add(OK, "PostgreSQL", fmt.Sprintf("a bridge runs: it reads slot %q", cfg.Source.Slot), "")
		default:
			failed = true
			f.fail("PostgreSQL", err)
		}
	}
	if !failed {
		f.add(OK, "PostgreSQL", fmt.Sprintf("%s, publication %q", cfg.Source.DSN, cfg.Source.Publication), "")
	}
	conn, err := cdc.Connect(ctx, SourceConfig(cfg))
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// bridgeRuns reports whether a bridge of this slot holds the lock.
func bridgeRuns(ctx context.Context, cfg *config.Config) bool {
	lock, err := cdc.AcquireLock(ctx, SourceConfig(cfg))
	if err == nil {
		_ = lock.Close()
	}
	return errors.Is(err, cdc.ErrLocked)
}

func (f *findings) tables(ctx context.Context, cfg *config.Config) {
	plans, err := Plans(ctx, cfg)
	if err != nil && !errors.Is(err, cdc.ErrNoPublication) { // that was said before
		f.fail("tables", err)
	}
	if len(plans) == 0 {
		return
	}
	f.aggregates(ctx, cfg, plans)
	for _, p := range plans {
		f.table(ctx, p)
		f.children(cfg, p)
	}
}

// aggregates has ClickHouse look at what is declared.
func (f *findings) aggregates(ctx context.Context, cfg *config.Config, plans []plan) {
	db, err := OpenWarehouse(ctx, cfg, Options{})
	if err != nil {
		return // said before
	}
	defer db.Close()
	if err := planAggregates(ctx, db, plans); err != nil {
		f.fail("aggregates", err)
	}
	if err := checkNames(ctx, db, plans); err != nil {
		f.fail("ClickHouse", err)
	}
	for _, p := range plans {
		for _, a := range p.aggregates {
			f.add(OK, p.sql.Source, fmt.Sprintf("aggregate %s: keys %v, measures %v", a.Name, a.KeyNames(), a.MeasureNames()), "")
		}
	}
}
