package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/config"
)

// step is one thing that happens to a bridge and its source.
type step struct {
	kind stepKind
	sql  string // of a write
}

type stepKind string

const (
	write_  stepKind = "write"   // a transaction
	settle  stepKind = "settle"  // until a mark holds all that was committed
	roll    stepKind = "roll"    // the split dates move
	fold    stepKind = "fold"    // HISTORIC is made clean
	restart stepKind = "restart" // the bridge stops and starts
	reload  stepKind = "reload"  // so it does, without a table and then with it again, which loads it anew
	reread  stepKind = "reread"  // the rows of some hours are read from PostgreSQL again
	verify  stepKind = "verify"  // and compared with it
	swap    stepKind = "swap"    // a partition is attached, or detached again
	alter   stepKind = "alter"   // a column comes or goes, in a transaction that writes
	wreck   stepKind = "wreck"   // an old row vanishes from ClickHouse: what the model has to notice
)

func (s step) String() string { return strings.TrimSpace(string(s.kind) + " " + s.sql) }

// modelTables have every shape of table.
var modelTables = []string{"history", "docs", "lines", "days", "events", "stock", "parts"}

// modelSteps makes a history of n steps. The same seed makes the same one.
func modelSteps(seed uint64, n int) (out []step) {
	g := &gen{rand.New(rand.NewPCG(seed, 0)), 1, modelTables}
	others := []stepKind{settle, settle, settle, roll, roll, roll, fold, fold, restart, reload, reread, verify, swap, alter, alter}
	for i := range n {
		switch d := g.IntN(20); {
		case d < 12:
			out = append(out, step{write_, g.transaction()})
		case d == 12:
			h := heavyDeeds[g.IntN(len(heavyDeeds))]
			out = append(out, step{write_, "BEGIN; " + g.fill(deed{sql: h.sql}) + "; " + g.pick("COMMIT", "COMMIT", "ROLLBACK")})
		default:
			s := step{kind: others[g.IntN(len(others))]}
			if s.kind == alter {
				s.sql = alterHistory(g, i)
			}
			out = append(out, s)
		}
	}
	return out
}

// alterHistory adds a column, or drops those that were added. No name comes twice.
func alterHistory(g *gen, i int) string {
	change := fmt.Sprintf("ALTER TABLE history ADD COLUMN IF NOT EXISTS extra_%d int DEFAULT %[1]d", i)
	if g.IntN(2) == 0 {
		change = `DO $$ DECLARE name text; BEGIN
			FOR name IN SELECT attname FROM pg_attribute WHERE attrelid = 'history'::regclass AND attname LIKE 'extra%' AND NOT attisdropped LOOP
				EXECUTE 'ALTER TABLE history DROP COLUMN ' || name;
			END LOOP;
		END $$`
	}
	return "BEGIN; " + change + "; UPDATE history SET v = v + 1 WHERE id % 7 = 0; COMMIT"
}

// model runs histories, each on a rig of its own.
type model struct {
	t *testing.T
}

// run lets a history happen. After each step the views have to equal PostgreSQL at the position of the mark, and in the end
// row by row. The error says after which step they did not.
func (m *model) run(steps []step) (err error) {
	r := newAuditRig(m.t, lateTables(modelTables...)...)
	p := &player{auditRig: r, whole: r.config(modelSettings)}
	if p.less, err = p.without("docs"); err != nil {
		return err
	}
	if err := p.start(p.whole); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	for i, s := range append(slices.Clone(steps), step{kind: settle}) {
		if err := p.play(s); err != nil {
			return fmt.Errorf("step %d, %.300s: %w", i+1, s, err)
		}
		if _, err := r.read(m.t.Context(), r.CH, ""); err != nil {
			return fmt.Errorf("after step %d, %.300s: %w", i+1, s, err)
		}
	}
	for _, a := range r.tables {
		if err := r.compareRows(a, a.name); err != nil {
			return err
		}
	}
	return nil
}

// modelSettings leave rolls and folds to the history. Rows settle soon.
const modelSettings = "tick: 50ms\nrt_window: 2s\nsplit_step: 1s\nschedule: {roll: \"@every 24h\", resync: \"@every 24h\"}"

// player plays the steps of one history.
type player struct {
	*auditRig
	whole, less string // configurations: of all tables, and without one
	bridge      *bridge.Bridge
	cancel      context.CancelFunc
	done        chan error
}

func (p *player) play(s step) error {
	ctx := p.t.Context()
	var err error
	switch s.kind {
	case write_:
		_, err = p.PG.Exec(ctx, s.sql)
	case alter:
		if _, err = p.PG.Exec(ctx, s.sql); err == nil {
			err = p.settle() // what is asked of a session that ends is answered with an error
		}
	case settle:
		err = p.settle()
	case roll:
		_, err = p.bridge.Roll(ctx)
	case fold:
		_, err = p.bridge.Resync(ctx, bridge.Request{})
	case reread:
		from, to := time.Now().Add(-20*time.Hour), time.Now().Add(-time.Hour)
		_, err = p.bridge.Reload(ctx, bridge.Request{Table: "history", From: &from, To: &to, FromSource: true})
	case verify:
		err = p.verify()
	case swap:
		err = p.swap()
	case restart:
		err = p.again(p.whole)
	case reload:
		if err = p.again(p.less); err == nil {
			err = p.again(p.whole)
		}
	case wreck:
		err = p.wreck()
	}
	return err
}

// swap attaches or detaches the rows of spare, and waits until the view is told: no row of WAL does it.
func (p *player) swap() error {
	_, err := p.PG.Exec(p.t.Context(), swapSpare(p.tables[slices.Index(p.names(), "parts")]))
	if err != nil {
		return err
	}
	if err := p.settle(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), 3*time.Minute)
	defer cancel()
	for {
		_, err := p.only("parts").read(ctx, p.CH, "")
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case err := <-p.done:
			return fmt.Errorf("the bridge ended: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// swapSpare attaches the table spare where it is none of the partitions, else it detaches it, and corrects audit.
func swapSpare(a audited) string {
	return fmt.Sprintf(`DO $$ DECLARE sign int := 1; BEGIN
		LOCK parts IN ACCESS EXCLUSIVE MODE;
		IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = 'spare'::regclass) THEN sign := -1; END IF;
		INSERT INTO audit SELECT 'parts', 0, sign * count(*), sign * coalesce(sum(%s), 0) FROM spare
			ON CONFLICT (name, session) DO UPDATE SET n = audit.n + excluded.n, h = audit.h + excluded.h;
		IF sign > 0 THEN ALTER TABLE parts ATTACH PARTITION spare FOR VALUES FROM ('2001-01-01') TO ('2002-01-01');
		ELSE ALTER TABLE parts DETACH PARTITION spare; END IF;
	END $$`, a.postgresWeight())
}

// verify has the bridge compare all tables with PostgreSQL.
func (p *player) verify() error {
	found, err := p.bridge.Verify(p.t.Context(), bridge.Request{})
	for _, f := range found {
		if !f.Equal {
			err = errors.Join(err, fmt.Errorf("%s: %+v", f.Table, f))
		}
	}
	return err
}

func (p *player) again(file string) error {
	if err := p.stop(); err != nil {
		return err
	}
	return p.start(file)
}

// start starts a bridge and waits until it has all tables.
func (p *player) start(file string) error {
	cfg, err := config.Load(file, func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		return err
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	p.bridge = bridge.New(cfg, zerolog.New(zerolog.NewTestWriter(p.t)).Level(zerolog.WarnLevel), bridge.Options{CheckInvariants: true, Slices: 3})
	done := make(chan error, 1)
	p.done = done
	b := p.bridge
	go func() { // ends with stop, which awaits it
		done <- b.Run(ctx)
		close(done)
	}()
	return p.settleWith(len(cfg.Tables))
}

func (p *player) stop() error {
	p.cancel()
	return <-p.done // nil when it was taken before
}

func (p *player) settle() error { return p.settleWith(len(p.tables) + 1) }

// settleWith waits until the newest mark holds everything committed so far, with so many tables, or until the bridge ends.
func (p *player) settleWith(tables int) error {
	var lsn uint64
	if err := p.PG.QueryRow(p.t.Context(), "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&lsn); err != nil {
		return err
	}
	query := fmt.Sprintf("SELECT count() FROM (SELECT lsn, length(tables) AS n FROM %s.split_date ORDER BY term DESC, epoch DESC LIMIT 1) WHERE lsn >= %d AND n = %d", p.Name, lsn, tables)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	limit := time.NewTimer(3 * time.Minute) // generous: a slow machine is no fault
	defer limit.Stop()
	for {
		var n uint64
		if err := p.CH.QueryRow(p.t.Context(), query).Scan(&n); err == nil && n == 1 { // at first there is no such table
			return nil
		}
		select {
		case err := <-p.done:
			return fmt.Errorf("the bridge ended: %w", err)
		case <-limit.C:
			return errors.New("no mark holds what was committed")
		case <-ticker.C:
		}
	}
}

// without writes a configuration that lacks one table.
func (p *player) without(name string) (string, error) {
	var lines []string
	for line := range strings.Lines(read(p.t, p.whole)) {
		if !strings.Contains(line, "public."+name+":") {
			lines = append(lines, line)
		}
	}
	return write(p.t, strings.Join(lines, "")), nil
}

// wreck deletes a settled row behind the bridge's back.
func (p *player) wreck() error {
	return p.CH.Exec(p.t.Context(), fmt.Sprintf("ALTER TABLE %s_tidemark.stock_chunks DELETE WHERE id = (SELECT max(id) FROM %s.stock) SETTINGS mutations_sync = 2", p.Name, p.Name))
}

// shrink leaves steps out as long as the history fails without them, and returns what is left.
func shrink(steps []step, fails func([]step) bool) []step {
	for size := len(steps) / 2; size >= 1; size /= 2 {
		for at := 0; at+size <= len(steps); {
			if fewer := slices.Delete(slices.Clone(steps), at, at+size); fails(fewer) {
				steps = fewer
			} else {
				at += size
			}
		}
	}
	return steps
}

// modelLength is how many steps a history has; the soak runs many of them.
const modelLength = 40

// TestModel plays random histories. One that fails is shrunk; its seed plays it again.
func TestModel(t *testing.T) {
	m := &model{t}
	for n := range histories(t) {
		s := seed(t) + uint64(n)
		steps := modelSteps(s, modelLength)
		err := m.run(steps)
		if err == nil {
			continue
		}
		t.Errorf("seed %d: %v", s, err)
		least := shrink(steps, func(fewer []step) bool { return m.run(fewer) != nil })
		t.Fatalf("of its %d steps, these suffice: %q", len(steps), least)
	}
}

// histories is how many histories a test plays.
func histories(t *testing.T) int {
	t.Helper()
	return max(1, soakMinutes(t)*2)
}

// TestModelNotices damages ClickHouse in the midst of a history: the model fails, and what is left of the history after
// shrinking is the damage.
func TestModelNotices(t *testing.T) {
	m := &model{t}
	steps := []step{{kind: roll}, {write_, "UPDATE stock SET v = v + 1 WHERE id < 10"}, {kind: wreck}, {kind: settle}}
	if err := m.run(slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.kind == wreck })); err != nil {
		t.Fatalf("without damage: %v", err)
	}
	least := shrink(steps, func(fewer []step) bool { return m.run(fewer) != nil })
	if len(least) != 1 || least[0].kind != wreck {
		t.Errorf("shrunk to %q instead of the damage", least)
	}
}
