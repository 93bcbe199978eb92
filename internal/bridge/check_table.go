package bridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/config"
)

// table reports on one table: how it is identified, and what of it will never settle.
func (f *findings) table(ctx context.Context, p plan) {
	source := p.sql.Source
	kind := "mirrored"
	if !p.sql.Mirrored() {
		kind = fmt.Sprintf("split by %s (%s)", p.cfg.DateColumn, p.sql.DateType().Name)
	}
	if p.sql.Keyless() {
		f.add(Warn, source, "has no key: "+kind+", INSERT and TRUNCATE only", "add a primary key if rows are ever updated or deleted")
	} else {
		f.add(OK, source, fmt.Sprintf("%s, key %v", kind, p.sql.Key), "")
	}
	if p.sql.Mirrored() || !p.source.CanSelect { // the latter is an error that PostgreSQL's checks report
		return
	}
	f.dates(ctx, p)
}

// children says where the rows are of the tables that inherit from one: a query of PostgreSQL that names it reads them too.
func (f *findings) children(cfg *config.Config, p plan) {
	configured := tableNames(cfg)
	for _, child := range p.source.Children {
		if slices.Contains(configured, child) {
			f.add(OK, p.sql.Source, fmt.Sprintf("the rows of %s, which inherits from it, are in a view of their own", child), "")
			continue
		}
		f.add(Warn, p.sql.Source, fmt.Sprintf("%s inherits from it and is not configured: its rows are in no view", child),
			fmt.Sprintf("publish %s and name it under tables, if its rows are wanted; its view is its own", child))
	}
}

// countPatience bounds the scan of one table.
const countPatience = 30 * time.Second

// dates counts the rows that stay in RT whatever their age. It has a session of its own, because running out of time
// ends that.
func (f *findings) dates(ctx context.Context, p plan) {
	ctx, cancel := context.WithTimeout(ctx, countPatience)
	defer cancel()
	conn, err := cdc.Connect(ctx, f.source)
	if err != nil {
		f.fail(p.sql.Source, err)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	nulls, future, err := cdc.CountDates(ctx, conn, p.source, p.cfg.DateColumn)
	switch {
	case ctx.Err() != nil:
		f.add(Warn, p.sql.Source, fmt.Sprintf("counting the rows that never settle took more than %s", countPatience), "count them when the source is less busy, or index the date column")
		return
	case err != nil:
		f.fail(p.sql.Source, err)
		return
	}
	if p.sql.DateType().Nullable {
		f.staying(p, nulls, "rows without a "+p.cfg.DateColumn+" stay in RT")
	}
	f.staying(p, future, "rows with a "+p.cfg.DateColumn+" in the future stay in RT until then")
}

func (f *findings) staying(p plan, n int64, what string) {
	if n > 0 {
		f.add(Warn, p.sql.Source, fmt.Sprintf("%d %s", n, what), "set the date, if it can be known: ticks may rewrite those rows each time")
		return
	}
	f.add(OK, p.sql.Source, "0 "+what, "")
}
