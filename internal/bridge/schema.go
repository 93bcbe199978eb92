package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/shape"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// Schema changes reach the session in two ways: the stream describes the rows that follow, and the catalogue is looked at
// before each mark. Either way the answer is one of two: a mark that names the new columns, or one without the table, which is
// then loaded again. Both end the session; the next one plans the table with what the mark, or else the catalogue, says.

// errRenewed ends a session whose plan is no longer right, without anything being wrong.
var errRenewed = errors.New("the source's tables have changed")

// errReshaped is in the chain of what is said about a table that is held because its definition changed.
var errReshaped = errors.New("its definition changed")

// reshape looks at the events of one transaction before they are applied: do its rows have the columns that the session
// knows? If not, everything before the transaction is published, and then a mark for the new columns.
func (s *session) reshape(ctx context.Context, events []*cdc.Event) error {
	written := map[*table]bool{}
	var last *cdc.Relation
	for _, e := range events {
		if e.Kind != cdc.Change || e.Relation == last {
			continue
		}
		last = e.Relation
		t, err := s.find(ctx, e.Relation)
		if err != nil {
			return err
		}
		if t == nil || !s.live(t) {
			continue
		}
		known, err := s.knows(ctx, t, e.Relation)
		if err != nil {
			return err
		}
		if known {
			written[t] = true
			continue
		}
		if err := s.commit(ctx); err != nil {
			return err
		}
		if s.mark.LSN < s.tick.position {
			return errRenewed // the mark waits for a lock: so does this transaction
		}
		if written[t] || !t.changes.Empty() || !t.pending.Empty() {
			return s.reload(ctx, t, fmt.Errorf("one transaction wrote to it, changed it, and wrote to it again: %w", shape.ErrReload))
		}
		return s.followRelation(ctx, t, e)
	}
	return nil
}

// knows reports whether a relation describes the rows as the session takes them. One of another name is a partition, whose
// columns may come in another order; and with others that not all partitions publish, which the catalogue tells.
func (s *session) knows(ctx context.Context, t *table, r *cdc.Relation) (known bool, err error) {
	switch {
	case t.relations[r]:
		return true, nil
	case r.FullName() == t.sql.Source:
		known = shape.Matches(t.known, r)
	case shape.MatchesPartition(t.known, r):
		known = len(t.known.Columns) == len(r.Columns)
		if !known {
			known, err = s.sameInCatalog(ctx, t)
		}
	}
	if known {
		t.relations[r] = true
	}
	return known, err
}

// sameInCatalog reports whether the catalogue has the columns that the session knows.
func (s *session) sameInCatalog(ctx context.Context, t *table) (bool, error) {
	now, err := s.inCatalog(ctx, t)
	if now == nil {
		return false, err
	}
	change, err := shape.Compare(t.known, *now)
	return change == shape.None && err == nil, nil
}

// inCatalog returns a table as the catalogue describes it now, nil if it is not published.
func (s *session) inCatalog(ctx context.Context, t *table) (*cdc.Table, error) {
	catalog, err := cdc.ReadCatalog(ctx, s.catalog, s.source.Publication)
	if err != nil {
		return nil, err
	}
	return t.among(catalog), nil
}

// among returns the table's entry of a catalogue, nil if there is none.
func (t *table) among(catalog []cdc.Table) *cdc.Table {
	i := slices.IndexFunc(catalog, func(c cdc.Table) bool { return c.FullName() == t.sql.Source })
	if i < 0 {
		return nil
	}
	return &catalog[i]
}

// followRelation takes over the columns with which a transaction's rows come.
func (s *session) followRelation(ctx context.Context, t *table, e *cdc.Event) error {
	now, err := s.inCatalog(ctx, t)
	if err != nil {
		return err
	}
	if now == nil {
		return s.reload(ctx, t, errNotPublished)
	}
	next, err := nextOf(t, e.Relation, *now)
	if err != nil {
		return s.reload(ctx, t, err)
	}
	return s.follow(ctx, t, next, e.LSN)
}

// nextOf is shape.Next. Of a partition, which numbers its columns otherwise, the catalogue has to be where the stream is.
func nextOf(t *table, r *cdc.Relation, now cdc.Table) (cdc.Table, error) {
	switch {
	case r.FullName() == t.sql.Source:
		return shape.Next(t.known, r, now)
	case shape.MatchesPartition(now, r):
		return shape.Latest(t.known, now)
	}
	return now, fmt.Errorf("the columns of its partition %s were changed, and changed again: %w", r.FullName(), shape.ErrReload)
}

// consult looks at the catalogue before a mark: at what the stream does not tell, or not yet. What was committed before the
// look, and so everything that the mark is about to hold, is in it.
func (s *session) consult(ctx context.Context) error {
	if s.opts.Blind {
		return nil
	}
	state, err := cdc.ReadCatalogState(ctx, s.catalog, s.source.Publication, tableNames(s.cfg))
	if err != nil {
		return err
	}
	if state.Digest == s.digest {
		return s.followDue(ctx)
	}
	if len(s.unfit) > 0 && state.Digest != s.planned {
		s.log.Info().Msg("the catalogue has changed: looking again at the tables that are held")
		return errRenewed
	}
	publication, err := cdc.ReadPublication(ctx, s.catalog, s.source.Publication)
	if err != nil {
		return err
	}
	catalog, err := cdc.ReadCatalog(ctx, s.catalog, s.source.Publication)
	if err != nil {
		return err
	}
	for _, t := range s.tables {
		if err := s.compareWith(ctx, t, publication, catalog, state.End); err != nil {
			return err
		}
	}
	s.digest = state.Digest
	return s.followDue(ctx)
}

// waitForLock puts a mark off while an ALTER TABLE under way keeps the catalogue from being read.
func (s *session) waitForLock(err error) error {
	if !isLocked(err) {
		s.blocked = false
		return err
	}
	if !s.blocked {
		s.blocked = true
		s.log.Warn().Err(err).Msg("the catalogue has changed, and cannot be read while a statement locks one of the tables: marks wait for it")
	}
	return nil
}

// compareWith compares a table with the catalogue as it was before a position.
func (s *session) compareWith(ctx context.Context, t *table, publication cdc.Publication, catalog []cdc.Table, at cdc.LSN) error {
	t.due = 0
	found := t.among(catalog)
	if found == nil {
		return s.reload(ctx, t, errNotPublished)
	}
	now := *found
	if lost, of := publication.Unsent([]cdc.Table{now}); len(of) > 0 {
		return s.reload(ctx, t, fault.New(fmt.Sprintf("ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate');", quotePostgres(publication.Name)),
			"publication %q no longer sends: %s: %w", publication.Name, strings.Join(lost, ", "), errNotPublished))
	}
	change, err := shape.Compare(t.known, now)
	switch {
	case err != nil:
		return s.reload(ctx, t, err)
	case change == shape.None:
		return s.remember(ctx, t, now)
	case !s.live(t):
		return s.reload(ctx, t, fmt.Errorf("its columns are others now: %w", shape.ErrReload))
	case change == shape.Relax: // early does no harm, late is an error
		next, err := shape.Latest(t.known, now)
		if err != nil {
			return s.reload(ctx, t, err)
		}
		return s.follow(ctx, t, next, s.mark.LSN-1)
	}
	t.due = at
	return nil
}

// followDue takes over columns that the catalogue has and no row in the stream came with, once the stream is past the
// moment at which the catalogue was read: none will come with others.
func (s *session) followDue(ctx context.Context) error {
	for _, t := range s.tables {
		if t.due == 0 || s.mark.LSN < t.due || !s.live(t) || !t.changes.Empty() || !t.pending.Empty() {
			continue
		}
		now, err := s.inCatalog(ctx, t)
		if err != nil {
			return err
		}
		if now == nil {
			return s.reload(ctx, t, errNotPublished)
		}
		next, err := shape.Latest(t.known, *now)
		if err != nil {
			return s.reload(ctx, t, err)
		}
		return s.follow(ctx, t, next, s.mark.LSN-1)
	}
	return nil
}

// remember keeps what the catalogue says beyond the columns of a table, so that the next change is compared with it.
func (s *session) remember(ctx context.Context, t *table, now cdc.Table) error {
	latest, err := shape.Latest(t.known, now)
	if err != nil || latest.Files == t.known.Files && latest.Attributes == t.known.Attributes && slices.EqualFunc(latest.Columns, t.known.Columns, sameVersion) {
		return err
	}
	t.known = latest
	if !s.live(t) {
		return nil
	}
	number, err := s.saveShape(ctx, t.sql.Source, t.shape())
	if err != nil {
		return err
	}
	return s.publishShape(ctx, t, number, s.mark.Tables[t.sql.Name].Narrowed)
}

// shape is what the table's chunks have, as the catalogue described it last.
func (t *table) shape() shape.Shape {
	of := t.of
	of.Table = t.known
	return of
}

func sameVersion(a, b cdc.Column) bool { return a.Version == b.Version }

func (s *session) publishShape(ctx context.Context, t *table, number uint64, narrowed splitdate.LSN) error {
	return s.publish(ctx, splitdate.Step{
		LSN: s.mark.LSN, CommitTime: s.mark.CommitTime,
		Deltas: map[string]splitdate.Delta{t.sql.Name: {Shape: number, Narrowed: narrowed}},
	})
}

// follow publishes a mark that names other columns, those of rows after a position in the WAL, and ends the session. No
// chunk is touched. A column that goes leaves the view before; one that comes is in the view once a mark is past that
// position: so the view always shows columns that the newest mark has.
func (s *session) follow(ctx context.Context, t *table, next cdc.Table, after cdc.LSN) error {
	taken, _, err := s.columnsOf(ctx, t.sql, sql.Chunks)
	if err != nil {
		return err
	}
	was := t.plan
	was.source = t.known
	e, err := evolve(s.cfg, was, next, after, taken)
	if err == nil {
		err = planAggregates(ctx, s.db, []plan{e.plan})
	}
	switch {
	case err == nil:
	case outOfReach(err):
		return err
	default:
		return s.reload(ctx, t, err)
	}
	var statements []sql.Statement
	if len(e.added) > 0 {
		statements = t.sql.AddColumns(e.added)
	}
	if e.narrow != nil {
		statements = append(statements, e.narrow.CreateView())
	}
	for _, st := range statements {
		if err := s.db.Exec(ctx, st, nil); err != nil {
			return fmt.Errorf("table %s: %w", t.sql.Source, err)
		}
	}
	number, err := s.saveShape(ctx, t.sql.Source, e.of)
	if err != nil {
		return err
	}
	if err := s.publishShape(ctx, t, number, e.of.Narrowed); err != nil {
		return err
	}
	s.log.Info().Str("table", t.sql.Source).Strs("new", e.gained).Strs("gone", e.dropped).Msg("its columns changed: going on with the new ones")
	return errRenewed
}

// showColumns replaces the views whose new columns the newest mark shows.
func (s *session) showColumns(ctx context.Context) error {
	for _, t := range s.tables {
		if !t.unseen || s.live(t) && s.mark.LSN <= t.of.Since {
			continue
		}
		if err := s.db.Exec(ctx, t.sql.CreateView(), nil); err != nil {
			return fmt.Errorf("table %s: %w", t.sql.Source, err)
		}
		if err := s.createFeed(ctx, t); err != nil {
			return fmt.Errorf("change feed of table %s: %w", t.sql.Source, err)
		}
		t.unseen = false
	}
	return nil
}

// reload takes a table out of the mark, and ends the session: the next one loads it as the catalogue describes it then.
func (s *session) reload(ctx context.Context, t *table, why error) error {
	err := fmt.Errorf("table %s: %w: %w", t.sql.Source, errReshaped, why)
	if fault.Try(why) != "" {
		err = fault.New(fault.Try(why), "%w", err)
	}
	if s.live(t) || t.load != nil {
		if err := s.hold(ctx, t, err); err != nil {
			return err
		}
	}
	return errRenewed
}

// keepsAlone stops the bridge before a table is given up of which ClickHouse may have rows that PostgreSQL no longer has.
func keepsAlone(table string, why error) error {
	return fault.New("copy the old rows out of its view, set `deletes: apply` for the table and start again, which loads it as PostgreSQL has it; or, if the configuration names what is no longer there, correct it",
		"table %s keeps rows that PostgreSQL has deleted, and would lose them: %w: %w", table, why, errRefused)
}

// concern takes note of what is wrong with some tables.
func (s *session) concern(e *cdc.TableError) {
	for i := range s.cfg.Tables {
		if t := &s.cfg.Tables[i]; slices.Contains(e.Tables, t.Name.String()) {
			s.unfit = append(s.unfit, unfit{t, e})
		}
	}
}

// openCatalog opens the session in which the catalogue is read, and takes its digest before anything else looks at it: what
// changes while this session begins is then seen by the first tick.
func (s *session) openCatalog(ctx context.Context) (err error) {
	if s.catalog, err = cdc.Connect(ctx, s.source); err != nil {
		return err
	}
	if _, err := s.catalog.Exec(ctx, "SET lock_timeout = '2s'"); err != nil {
		return fmt.Errorf("bound the wait for locks: %w", err)
	}
	if state, err := cdc.ReadCatalogState(ctx, s.catalog, s.source.Publication, tableNames(s.cfg)); err == nil { // else preflight says why
		s.planned = state.Digest
	}
	return nil
}

// plans joins the configuration with the columns that the newest mark names, or else with the catalogue. Once there is a
// mark, a table that cannot be planned is held, and the others go on.
func (s *session) plans(ctx context.Context) (plans []plan, err error) {
	if s.mark.Epoch == 0 && len(s.unfit) > 0 {
		return nil, faultsOf(s.unfit)
	}
	catalog, err := cdc.ReadCatalog(ctx, s.catalog, s.source.Publication)
	if err != nil {
		return nil, err
	}
	shapes, err := s.readShapes(ctx)
	if err != nil {
		return nil, err
	}
	concerned := slices.Clone(s.unfit)
	plans, bad := planEach(s.cfg, func(t *config.Table) (plan, []error) {
		for _, u := range concerned {
			if u.table == t {
				return plan{}, []error{u.err}
			}
		}
		state, live := s.mark.Tables[ViewName(t.Name.Schema, t.Name.Name)]
		if of, known := shapes[state.Shape]; live && known && of.FullName() == t.Name.String() {
			return planShape(s.cfg, t, of)
		}
		return planTable(s.cfg, t, catalog)
	})
	s.unfit = bad
	if plans, err = s.planAggregates(ctx, plans); err != nil {
		return nil, err
	}
	if s.mark.Epoch == 0 && len(s.unfit) > 0 {
		return nil, faultsOf(s.unfit)
	}
	return plans, describePlans(ctx, s.catalog, s.cfg, plans)
}

// planAggregates leaves out the tables whose aggregates cannot be computed.
func (s *session) planAggregates(ctx context.Context, plans []plan) ([]plan, error) {
	all := planAggregates(ctx, s.db, plans)
	if all == nil || outOfReach(all) {
		return plans, all
	}
	var fit []plan
	for _, p := range plans {
		p.aggregates = nil
		one := []plan{p}
		if err := planAggregates(ctx, s.db, one); err != nil {
			s.unfit = append(s.unfit, unfit{p.cfg, err})
			continue
		}
		fit = append(fit, one...)
	}
	if len(fit) == len(plans) { // two of them do not go together
		return nil, all
	}
	return fit, nil
}

// holdUnfit takes the tables out of the mark that cannot be worked on. Their views stay, and answer with an error.
func (s *session) holdUnfit(ctx context.Context) error {
	step := splitdate.Step{LSN: s.mark.LSN, CommitTime: s.mark.CommitTime}
	for _, u := range s.unfit {
		if s.seen.Held(kindOf(u.err), u.table.Name.String(), u.err) {
			s.log.Error().Err(u.err).Str("table", u.table.Name.String()).Str("kind", kindOf(u.err)).Str("try", fault.Try(u.err)).
				Msg("the table is held: queries of it fail until this is resolved; the others go on")
		}
		name := ViewName(u.table.Name.Schema, u.table.Name.Name)
		_, live := s.mark.Tables[name]
		if live && u.table.KeepOlderThan > 0 {
			return keepsAlone(u.table.Name.String(), u.err)
		}
		if live && !slices.Contains(step.Remove, name) {
			step.Remove = append(step.Remove, name)
		}
	}
	if len(step.Remove) == 0 {
		return nil
	}
	return s.publish(ctx, step)
}
