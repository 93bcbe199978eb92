package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tidemark-db/tidemark/internal/aggregate"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// planAggregates asks ClickHouse about the declared aggregates and adds them to the plans. It returns every fault.
func planAggregates(ctx context.Context, db *warehouse.Conn, plans []plan) error {
	faults := nameFaults(plans)
	for i := range plans {
		p := &plans[i]
		for _, c := range p.cfg.Aggregates {
			a, errs := aggregate.Describe(ctx, db, p.sql, c)
			if a != nil {
				p.aggregates = append(p.aggregates, a)
			}
			faults = append(faults, errs...)
		}
	}
	return errors.Join(faults...)
}

// aggregatePlans are Plans with the declared aggregates. ClickHouse is needed only where there are any.
func aggregatePlans(ctx context.Context, cfg *config.Config) ([]plan, error) {
	plans, err := Plans(ctx, cfg)
	if err != nil || !slices.ContainsFunc(plans, func(p plan) bool { return len(p.cfg.Aggregates) > 0 }) {
		return plans, err
	}
	db, err := OpenWarehouse(ctx, cfg, Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return plans, planAggregates(ctx, db, plans)
}

// nameFaults finds aggregates whose view would have the name of another one of ours.
func nameFaults(plans []plan) (faults []error) {
	taken := map[string]string{}
	for _, name := range sql.ReservedNames() {
		taken[name] = "tidemark's own " + name
	}
	for _, p := range plans {
		taken[p.sql.Name] = "the view of table " + p.sql.Source
		if p.sql.Feed {
			taken[p.sql.FeedName()] = "the change feed of table " + p.sql.Source
		}
	}
	for _, p := range plans {
		for _, c := range p.cfg.Aggregates {
			if other, ok := taken[c.Name]; ok {
				faults = append(faults, fault.New("give it another name", "%s: has the name of %s", aggregatePath(p, c), other))
			}
		}
	}
	return faults
}

func aggregatePath(p plan, c config.Aggregate) string {
	return "tables." + p.sql.Source + ".aggregates." + c.Name
}

// held returns the aggregates of a table that the newest mark holds.
func (s *session) held(t *table) (list []*sql.Aggregate) {
	for _, a := range t.aggregates {
		if _, ok := s.mark.Aggregates[a.Name]; ok {
			list = append(list, a)
		}
	}
	return list
}

// regional returns the table or aggregate of a view, nil where there is none.
func (s *session) regional(view string) regional {
	for _, t := range s.tables {
		if t.sql.Name == view {
			return t.sql
		}
		for _, a := range t.aggregates {
			if a.Name == view {
				return a
			}
		}
	}
	return nil
}

// historicOf is what there is to compute of chunks of HISTORIC.
func historicOf(list []*sql.Aggregate, chunks []splitdate.Chunk) aggregate.Todo {
	todo := aggregate.Todo{}
	for _, a := range list {
		todo[a] = map[sql.Region][]splitdate.Chunk{sql.Historic: chunks}
	}
	return todo
}

// writeStates computes the states that the next mark needs and this one has not. What was written beside the ticks, as that
// of a fold, is there already.
func (s *session) writeStates(ctx context.Context, step *splitdate.Step) error {
	missing, err := s.mark.MissingStates(*step)
	if err != nil || len(missing) == 0 {
		return err
	}
	step.Aggregates.Written = map[string]map[splitdate.Chunk]uint64{}
	for _, t := range s.tables {
		todo := aggregate.Todo{}
		for _, a := range t.aggregates {
			if chunks := missing[a.Name]; len(chunks) > 0 {
				todo[a] = chunks
			}
		}
		if len(todo) == 0 {
			continue
		}
		if err := t.states.Write(ctx, todo); err != nil {
			return err
		}
		for a := range todo {
			step.Aggregates.Written[a.Name] = t.states.Written(a)
		}
	}
	return nil
}

// createAggregates makes the tables and views of the declared aggregates, and drops those of others. Of an aggregate that
// the mark does not hold, or whose definition is another one now, the states are computed anew.
func (s *session) createAggregates(ctx context.Context) error {
	declared := map[string]*sql.Aggregate{}
	for _, t := range s.tables {
		for _, a := range t.aggregates {
			declared[a.Name] = a
		}
	}
	if err := s.removeAggregates(ctx, declared); err != nil {
		return err
	}
	names := s.db.Database()
	for name, a := range declared {
		var statements []sql.Statement
		if _, ok := s.mark.Aggregates[name]; !ok {
			statements = names.DropAggregate(name)
		}
		for _, st := range slices.Concat(statements, a.CreateTables(), a.CreateRegionViews(), []sql.Statement{a.CreateView()}) {
			if err := s.db.Exec(ctx, st, nil); err != nil {
				return fmt.Errorf("aggregate %s: %w", name, err)
			}
		}
	}
	return s.dropAggregates(ctx, declared)
}

// removeAggregates takes out of the mark what is no longer declared so: from here on its view answers with an error.
func (s *session) removeAggregates(ctx context.Context, declared map[string]*sql.Aggregate) error {
	var gone []string
	for name, held := range s.mark.Aggregates {
		if a, ok := declared[name]; !ok || a.Definition() != held.Definition {
			gone = append(gone, name)
			s.log.Info().Str("aggregate", name).Bool("declared", ok).Msg("its definition is not the one that its states were made of")
		}
	}
	if len(gone) == 0 {
		return nil
	}
	step := splitdate.Step{LSN: s.mark.LSN}
	step.Aggregates.Remove = gone
	return s.publish(ctx, step)
}

// dropAggregates drops the views and tables of aggregates that are no longer declared.
func (s *session) dropAggregates(ctx context.Context, declared map[string]*sql.Aggregate) error {
	names := s.db.Database()
	ours := map[string]bool{}
	for name := range declared {
		ours[string(names)+"."+name] = true
		for _, r := range sql.AggregateRegions() {
			ours[names.Internals()+"."+sql.AggregateTable(name, r)] = true
		}
	}
	for _, u := range s.unfit { // they are held: their views stay, and answer with an error
		for _, c := range u.table.Aggregates {
			ours[string(names)+"."+c.Name] = true
			for _, r := range sql.AggregateRegions() {
				ours[names.Internals()+"."+sql.AggregateTable(c.Name, r)] = true
			}
		}
	}
	var drop []sql.Statement
	err := s.db.Query(ctx, names.ListAggregates(), listAggregates(names), func(r warehouse.Rows) error {
		var database, name string
		if err := r.Scan(&database, &name); err != nil {
			return err
		}
		if !ours[database+"."+name] {
			drop = append(drop, names.DropMade(database, name))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, st := range drop {
		if err := s.db.Exec(ctx, st, nil); err != nil {
			return err
		}
	}
	return nil
}

func listAggregates(names sql.Database) warehouse.Params {
	return warehouse.Params{"views": string(names), "internals": names.Internals(), "prefix": sql.AggregateComment}
}

// aggregateStatus reads how far the aggregates of a table are.
func aggregateStatus(ctx context.Context, cfg *config.Config, t config.Table, mark splitdate.Mark) (out []AggregateStatus, err error) {
	if len(t.Aggregates) == 0 {
		return nil, nil
	}
	db, err := OpenWarehouse(ctx, cfg, Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	clean := mark.Tables[ViewName(t.Name.Schema, t.Name.Name)].Clean
	for _, a := range t.Aggregates {
		st := AggregateStatus{Name: a.Name, Chunks: len(clean)}
		if _, st.Ready = mark.Aggregates[a.Name]; st.Ready {
			st.Computed = st.Chunks
		} else if st.Computed, err = computedChunks(ctx, db, a.Name, clean); err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	return out, nil
}

// computedChunks counts the chunks whose states are there; that of the one under way may be.
func computedChunks(ctx context.Context, db *warehouse.Conn, aggregate string, chunks []splitdate.Chunk) (n int, err error) {
	names := db.Database()
	err = db.Query(ctx, names.ListChunks(), warehouse.Params{"database": names.Internals()}, func(r warehouse.Rows) error {
		var table, id string
		var bytes uint64
		if err := r.Scan(&table, &id, &bytes); err != nil {
			return err
		}
		if table == sql.AggregateTable(aggregate, sql.Chunks) && slices.ContainsFunc(chunks, func(c splitdate.Chunk) bool { return warehouse.U64(c) == id }) {
			n++
		}
		return nil
	})
	return n, err
}
