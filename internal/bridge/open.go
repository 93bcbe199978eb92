package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/historic"
	"github.com/tidemark-db/tidemark/internal/aggregate"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/rtwindow"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// session is the work between a start and the loss of one of the two servers.
type session struct {
	cfg    *config.Config
	log    zerolog.Logger
	opts   Options
	jobs   <-chan job
	seen   *observe.Observer
	source cdc.Config

	looks    <-chan look
	look     *look  // that waits for a mark
	lookSoon func() // has the next one made at once

	db     *warehouse.Conn
	store  *splitdate.Store
	lock   *cdc.Lock
	stream *cdc.Stream
	keeper *keeper

	mu      sync.Mutex
	numbers *splitdate.Numbers

	catalog *pgx.Conn // where the catalogue is read
	digest  string    // of the catalogue, when it was last looked at
	planned string    // of the catalogue that the tables were planned with
	unfit   []unfit   // configured tables that cannot be worked on as PostgreSQL has them: held
	blocked bool      // the catalogue cannot be read at the moment
	tables  []*table
	bySlot  map[string]*table // by schema.table, as the stream names it
	leaves  map[string]*table // by the name of a partition; see partitions
	ignored map[string]bool

	feedsDropped string // the day on which days of change feeds were dropped last

	archived uint64 // partitions of split_date before this one are in the log

	began struct { // when and where the session got to work
		at  time.Time
		lsn splitdate.LSN
	}
	recovering bool // the last session failed, and this one has not done better yet

	mark splitdate.Mark // the newest one
	tick tick
	load *loading // the one under way, if any

	backfill *backfill         // the one under way, if any
	failed   map[string]bool   // aggregates that could not be computed
	merging  *merging          // the one under way, if any
	fine     map[string]uint64 // states up to which merging an aggregate does not pay

	folding *folding   // the one under way, if any
	resyncs []*resync  // in line; the first is under way
	reread  *rereading // the one under way, if any
	walks   []*walk    // in line; the one under way is among them
}

// table is everything the session has of one configured table.
type table struct {
	plan
	window    *rtwindow.Window
	archive   *historic.Archive
	states    *aggregate.States
	changes   *rtwindow.Changes
	pending   rtwindow.Pending
	load      *loading      // until a mark holds the table
	loadAfter time.Time     // a load that failed waits until then
	pause     time.Duration // before the next load of a table that is held because of a bad value
	journal   *journal      // while something is built of it beside the ticks

	partitions *partitions            // of a partitioned table
	known      cdc.Table              // source, as the catalogue described it last; the loop's
	relations  map[*cdc.Relation]bool // those that describe its rows as it knows them
	unseen     bool                   // the view shows the columns from before a schema change until a mark holds the change
	due        cdc.LSN                // the catalogue has other columns; from here on they are those of the stream too
}

// lockPatience is how long a start waits for the lock and the slot of a bridge that was just killed, whose sessions
// PostgreSQL has yet to notice are gone.
const lockPatience = 5 * time.Second

func (b *Bridge) sourceConfig() cdc.Config {
	source := SourceConfig(b.config())
	source.Hook = b.opts.Hook
	return source
}

// open prepares a session. Nothing is created on either side before everything that can be checked was.
func (b *Bridge) open(ctx context.Context) (*session, error) {
	cfg := b.config()
	s := &session{
		cfg: cfg, log: b.log, opts: b.opts, jobs: b.jobs, seen: b.seen, source: b.sourceConfig(), looks: b.looks, lookSoon: b.lookSoon,
		bySlot: map[string]*table{}, leaves: map[string]*table{}, ignored: map[string]bool{}, failed: map[string]bool{}, fine: map[string]uint64{},
	}
	err := inOrder(ctx, s.connect, s.takeLock)
	if err == nil {
		err = s.guarded(ctx, func(ctx context.Context) error {
			return inOrder(ctx, s.openCatalog, s.preflight, s.identify, s.plan, s.create, s.claim, s.upgrade, s.createTables, s.collectGarbage, s.resumeLoads, s.readPartitions, s.selfCheck, s.showProofs, s.openStream)
		})
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// guarded does work as long as both servers are there. Where the lock is lost or ClickHouse does not answer, though nobody
// hung up, it ends the work and returns why.
func (s *session) guarded(ctx context.Context, work func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var guards sync.WaitGroup
	guards.Go(func() { // ends with ctx, or cancels it
		if err := s.db.Watch(ctx); err != nil {
			cancel(err)
			s.db.Abort()
		}
	})
	guards.Go(func() { // likewise
		select {
		case <-ctx.Done():
		case <-s.lock.Lost():
			cancel(cdc.ErrLockLost)
		}
	})
	err := work(ctx)
	for _, lost := range []error{warehouse.ErrSilent, cdc.ErrLockLost} {
		if cause := context.Cause(ctx); errors.Is(cause, lost) {
			err = cause
		}
	}
	cancel(nil)
	guards.Wait()
	return err
}

func (s *session) close() {
	if s.stream != nil {
		s.stream.Close()
	}
	if s.lock != nil {
		if err := s.lock.Close(); err != nil {
			s.log.Debug().Err(err).Msg("close lock")
		}
	}
	if s.catalog != nil {
		closeSession(context.Background(), s.catalog)
	}
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			s.log.Debug().Err(err).Msg("close ClickHouse")
		}
	}
}

func (s *session) connect(ctx context.Context) (err error) {
	s.db, err = OpenWarehouse(ctx, s.cfg, s.opts)
	if err != nil {
		return err
	}
	s.store = splitdate.NewStore(s.db)
	return nil
}

// OpenWarehouse connects to ClickHouse and checks its version.
func OpenWarehouse(ctx context.Context, cfg *config.Config, opts Options) (*warehouse.Conn, error) {
	db, err := warehouse.Open(warehouse.Options{DSN: cfg.ClickHouse.DSN.Reveal(), Debug: opts.Debug, Hook: opts.Hook})
	if err != nil {
		return nil, fault.New("check clickhouse.dsn", "clickhouse.dsn %s: %w", cfg.ClickHouse.DSN, err)
	}
	var v warehouse.Version
	if err = db.Ping(ctx); err == nil {
		v, err = db.ServerVersion(ctx)
	}
	switch {
	case err != nil:
		err = fault.New("check clickhouse.dsn, that the server is up, and the user's password", "ClickHouse at %s: %w", cfg.ClickHouse.DSN, err)
	case v.Less(warehouse.MinVersion):
		err = fault.New(fmt.Sprintf("upgrade ClickHouse to %s or newer", warehouse.MinVersion),
			"ClickHouse at %s is %s, tidemark needs %s or newer: %w", cfg.ClickHouse.DSN, v, warehouse.MinVersion, errRefused)
	default:
		return db, nil
	}
	_ = db.Close() // what failed says more
	return nil, err
}

func (s *session) preflight(ctx context.Context) error {
	errs := cdc.Preflight(ctx, s.source, tableNames(s.cfg))
	var waits, others []error
	for _, err := range errs {
		var concerned *cdc.TableError
		switch {
		case errors.Is(err, cdc.ErrSlotInUse):
			waits = append(waits, err)
		case errors.Is(err, cdc.ErrNoKey):
			s.log.Warn().Err(err).Msg("rows of this table can only be inserted")
		case errors.As(err, &concerned):
			s.concern(concerned)
		default:
			others = append(others, err)
		}
	}
	if len(others) > 0 {
		return errors.Join(append(others, waits...)...)
	}
	if err := checkTarget(ctx, s.db); err != nil {
		return err
	}
	if len(waits) > 0 {
		return s.patiently(ctx, func() error {
			errs := cdc.Preflight(ctx, s.source, tableNames(s.cfg))
			return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, cdc.ErrNoKey) || isA[*cdc.TableError](err) })...)
		})
	}
	return nil
}

// patiently tries until lockPatience is over.
func (s *session) patiently(ctx context.Context, try func() error) error {
	deadline := time.Now().Add(lockPatience)
	for {
		err := try()
		if err == nil || time.Now().After(deadline) || !(errors.Is(err, cdc.ErrLocked) || errors.Is(err, cdc.ErrSlotInUse)) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the other bridge: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *session) takeLock(ctx context.Context) error {
	try := func() (err error) {
		s.lock, err = cdc.AcquireLock(ctx, s.source)
		return err
	}
	wait := s.patiently
	if s.opts.Standby {
		wait = s.standBy
	}
	if err := wait(ctx, try); err != nil {
		return err
	}
	return s.lock.FreeSlot(ctx)
}

// standbyPause is the time between two looks at the lock: how much later a standby takes over.
const standbyPause = 500 * time.Millisecond

// standBy tries until it has the lock. That PostgreSQL is away for a while is no reason to give up: the bridge that holds
// the lock is waiting for it too.
func (s *session) standBy(ctx context.Context, try func() error) error {
	for waiting := false; ; waiting = true {
		err := try()
		switch {
		case err == nil:
			if waiting {
				s.log.Info().Msg("taking over")
			}
			return nil
		case !errors.Is(err, cdc.ErrLocked) && !(waiting && outOfReach(err)):
			return err
		case !waiting:
			s.log.Info().Str("other", err.Error()).Msg("standing by")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stand by: %w", ctx.Err())
		case <-time.After(standbyPause):
		}
	}
}

func (s *session) plan(ctx context.Context) error {
	plans, err := s.plans(ctx)
	if err != nil {
		return err
	}
	if err := agreeOnZones(ctx, s.db, plans); err != nil {
		return err
	}
	if err := checkNames(ctx, s.db, plans); err != nil {
		return err
	}
	for _, p := range plans {
		window, err := rtwindow.NewWindow(s.db, p.sql, s.nextChunk)
		if err != nil {
			return fmt.Errorf("prepare table %s: %w", p.sql.Source, err)
		}
		t := &table{plan: p, window: window, archive: historic.NewArchive(s.db, p.sql, s.nextChunk), states: aggregate.NewStates(s.db, p.aggregates), changes: rtwindow.NewChanges(p.sql), known: p.source, relations: map[*cdc.Relation]bool{}}
		if p.source.Partitioned {
			t.partitions = &partitions{now: leavesOf(p.sql, p.leaves), nowAsOf: p.asOf}
		}
		s.tables = append(s.tables, t)
		s.bySlot[p.sql.Source] = t
	}
	return nil
}

// Plans reads the catalogue and joins it with the configuration. Beside an error about some tables it returns the others.
func Plans(ctx context.Context, cfg *config.Config) ([]plan, error) {
	conn, err := cdc.Connect(ctx, SourceConfig(cfg))
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	catalog, err := cdc.ReadCatalog(ctx, conn, cfg.Source.Publication)
	if err != nil {
		return nil, err
	}
	plans, faults := planTables(cfg, catalog)
	if err := describePlans(ctx, conn, cfg, plans); err != nil {
		return nil, err
	}
	return plans, faults
}

// describePlans adds what PostgreSQL says of tables besides their columns: their partitions, and whether they can be read by
// date.
func describePlans(ctx context.Context, conn *pgx.Conn, cfg *config.Config, plans []plan) error {
	asOf := time.Now()
	leaves, err := cdc.ReadLeaves(ctx, conn, tableNames(cfg))
	if err != nil {
		return err
	}
	for i, p := range plans {
		plans[i].leaves, plans[i].asOf = leaves[p.sql.Source], asOf
		if p.sql.Mirrored() {
			continue
		}
		if plans[i].indexed, err = cdc.DateIndexed(ctx, conn, p.source, p.sql.Date); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) nextChunk() splitdate.Chunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.numbers.Next()
}

// identify reads the newest mark and refuses one that belongs to another source.
func (s *session) identify(ctx context.Context) error {
	id, end, err := cdc.ReadIdentity(ctx, s.source)
	if err != nil {
		return err
	}
	mark, ok, err := s.store.Newest(ctx)
	switch {
	case err != nil:
		return err
	case !ok:
		s.mark = splitdate.Mark{Source: sourceOf(id)}
		return nil
	}
	s.mark = mark
	if mark.Source != sourceOf(id) {
		return fault.New("give this source a ClickHouse database of its own; or, if the source was restored or failed over, `tidemark uninstall --data` and start again, which loads every table anew",
			"database %s holds the tables of another source: %s there, %s here: %w", s.cfg.ClickHouse.Database, describe(mark.Source), describe(sourceOf(id)), errRefused)
	}
	if end < mark.LSN {
		return fault.New("`tidemark uninstall --slot --data` and start again, which loads every table anew",
			"PostgreSQL's WAL ends at %s, before %s, which the newest mark holds: it was restored from an older backup, and what was written between is lost there: %w",
			end, mark.LSN, errRefused)
	}
	return nil
}

func describe(s splitdate.Source) string {
	return fmt.Sprintf("system %s timeline %d database %q slot %q", s.SystemID, s.Timeline, s.Database, s.Slot)
}

// create makes the databases, the table of marks and, on a first start, the slot and the first mark.
func (s *session) create(ctx context.Context) error {
	names := s.db.Database()
	for _, st := range append(names.CreateDatabases(), names.CreateMarks()...) {
		if err := s.db.Exec(ctx, st, nil); err != nil {
			if !warehouse.IsDenied(err) {
				return fmt.Errorf("create tidemark's tables: %w", err)
			}
			return fault.New(fmt.Sprintf("GRANT CREATE DATABASE, %s ON %s.*, %s.* TO the user of clickhouse.dsn;",
				strings.Join(sql.Privileges(), ", "), sql.Ident(string(names)), sql.Ident(names.Internals())), "create tidemark's tables: %w", err)
		}
	}
	if err := s.upgradeMarks(ctx); err != nil {
		return err
	}
	if s.mark.Epoch > 0 {
		return s.needSlot(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, slotPatience)
	defer cancel()
	at, created, err := cdc.EnsureSlot(ctx, s.source)
	if err != nil {
		return err
	}
	s.log.Info().Stringer("lsn", at).Bool("created", created).Str("slot", s.source.Slot).Msg("slot ready")
	s.mark.LSN, s.mark.CommitTime = at, time.Now() // nothing is shown yet; the first load waits for a position of the stream
	return nil
}

// slotPatience bounds the wait for older transactions when a slot is created.
const slotPatience = 10 * time.Minute

func (s *session) needSlot(ctx context.Context) error {
	conn, err := cdc.Connect(ctx, s.source)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	slot, err := cdc.SlotInfo(ctx, conn, s.source.Slot)
	switch {
	case err != nil:
		return err
	case !slot.Exists:
		return fault.New("`tidemark uninstall --data` and start again, which loads every table anew",
			"slot %q is gone; changes since %s, which the newest mark holds, are lost: %w", s.source.Slot, s.mark.LSN, cdc.ErrNoSlot)
	case slot.ConfirmedFlush > s.mark.LSN:
		return fault.New("`tidemark uninstall --slot --data` and start again, which loads every table anew",
			"slot %q stands at %s, the newest mark at %s: ClickHouse was restored from an older backup, and the changes between are lost: %w",
			s.source.Slot, slot.ConfirmedFlush, s.mark.LSN, cdc.ErrSlotAhead)
	}
	return nil
}

// claim begins a term: from here on, whatever another writer still sends counts for nothing.
func (s *session) claim(ctx context.Context) error {
	next, now, err := s.store.Claim(ctx, s.mark)
	if err != nil {
		return err
	}
	s.numbers = splitdate.NewNumbers(next.Term)
	s.mark = next
	s.keeper = newKeeper(s, now)
	s.log.Info().Uint64("term", uint64(next.Term)).Uint64("epoch", uint64(next.Epoch)).Stringer("lsn", next.LSN).Msg("took over")
	return nil
}

func (s *session) byView(name string) *table {
	for _, t := range s.tables {
		if t.sql.Name == name {
			return t
		}
	}
	return nil
}

func (s *session) openStream(ctx context.Context) (err error) {
	s.stream, err = cdc.OpenStream(ctx, s.source, s.mark.LSN, cdc.StreamOptions{})
	if err != nil {
		return err
	}
	s.tick.position, s.tick.commitTime = s.mark.LSN, s.mark.CommitTime
	return nil
}
