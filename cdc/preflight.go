package cdc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/fault"
)

const (
	minVersion = 14
	// The stream and a barrier; a second barrier at the same time waits for room.
	needSenders = 2
)

// ErrNoKey is in the chain of Preflight's finding about a table without a usable key. It is a warning where such a
// table is only ever inserted into: PostgreSQL itself refuses its UPDATE and DELETE, or, under REPLICA IDENTITY FULL,
// sends what cannot be applied.
var ErrNoKey = errors.New("table has no key")

// TableError is a finding that concerns some tables alone.
type TableError struct {
	Tables []string // by FullName
	Err    error
}

func (e *TableError) Error() string { return e.Err.Error() }
func (e *TableError) Unwrap() error { return e.Err }

// preflight collects findings.
type preflight struct {
	cfg    Config
	tables []string
	conn   *pgx.Conn
	found  []error
}

// Preflight looks for everything that would keep a bridge over the tables (each "schema.name"; none: all that the
// publication names) from working and returns all of it, each a *fault.Error unless the looking itself failed. It
// changes nothing. Findings that are ErrNoKey are warnings.
func Preflight(ctx context.Context, cfg Config, tables []string) []error {
	p := &preflight{cfg: cfg, tables: tables}
	p.checkNames()
	conn, err := Connect(ctx, cfg)
	if err != nil {
		return append(p.found, err)
	}
	defer closeConn(ctx, conn)
	p.conn = conn
	for _, check := range []func(context.Context) error{p.checkServer, p.checkSlot, p.checkPublication} {
		if err := check(ctx); err != nil {
			return append(p.found, err) // this session is of no more use
		}
	}
	return p.found
}

func (p *preflight) fault(try, format string, args ...any) {
	p.found = append(p.found, fault.New(try, format, args...))
}

// about does a check whose findings concern some tables alone.
func (p *preflight) about(tables []string, check func()) {
	n := len(p.found)
	check()
	for i := range p.found[n:] {
		p.found[n+i] = &TableError{tables, p.found[n+i]}
	}
}

func (p *preflight) checkNames() {
	if err := checkSlotName(p.cfg.Slot); err != nil {
		p.found = append(p.found, err)
	}
	if p.cfg.Publication == "" {
		p.fault("name the publication to read", "source.publication is empty")
	}
}

// server is what the server is set to and how much of it is taken.
type server struct {
	version, senders, slots, freeSenders, freeSlots int
	walLevel                                        string
	standby, slotExists                             bool
}

func (p *preflight) checkServer(ctx context.Context) error {
	var s server
	err := p.conn.QueryRow(ctx, query("server"), p.cfg.Slot).Scan(&s.version, &s.walLevel, &s.standby, &s.senders,
		&s.freeSenders, &s.slots, &s.freeSlots, &s.slotExists)
	if err != nil {
		return fmt.Errorf("read server settings: %w", err)
	}
	if s.version < minVersion {
		p.fault("upgrade PostgreSQL", "PostgreSQL %d is older than %d, the oldest that tidemark reads", s.version, minVersion)
	}
	if s.walLevel != "logical" {
		p.fault("run ALTER SYSTEM SET wal_level = logical, then restart PostgreSQL", "wal_level of PostgreSQL is %q, not \"logical\"", s.walLevel)
	}
	if s.standby {
		p.fault("name the primary in source.dsn", "PostgreSQL is a standby")
	}
	if need := needSlots(s.slotExists); s.freeSlots < need {
		p.fault("raise max_replication_slots and restart PostgreSQL, or drop slots that nothing uses",
			"%d of %d replication slots are free, %d are needed", max(s.freeSlots, 0), s.slots, need)
	}
	if s.freeSenders < needSenders {
		p.fault("raise max_wal_senders and restart PostgreSQL, or end other readers",
			"%d of %d walsenders (max_wal_senders) are free, %d are needed", max(s.freeSenders, 0), s.senders, needSenders)
	} else {
		p.checkReplication(ctx)
	}
	return nil
}

// needSlots counts the configured slot and that of a barrier.
func needSlots(exists bool) int {
	if exists {
		return 1
	}
	return 2
}

// checkReplication opens a replication session: the role's right to and pg_hba.conf are best told by trying.
func (p *preflight) checkReplication(ctx context.Context) {
	conn, err := connectReplication(ctx, p.cfg)
	switch sqlState(err) {
	case "":
	case "42501", "28000":
		p.fault(fmt.Sprintf("let a superuser run ALTER ROLE %s REPLICATION, and see that pg_hba.conf lets it in", quoteName(p.conn.Config().User)),
			"role %q may not open a replication connection: %w", p.conn.Config().User, err)
		return
	}
	if err != nil {
		p.found = append(p.found, err)
		return
	}
	conn.end()
}

func (p *preflight) checkSlot(ctx context.Context) error {
	slot, err := SlotInfo(ctx, p.conn, p.cfg.Slot)
	if err != nil || !slot.Exists {
		return err
	}
	if err := slot.check(p.cfg.Slot, p.conn.Config().Database); err != nil {
		p.found = append(p.found, err)
	}
	return nil
}

func (p *preflight) checkPublication(ctx context.Context) error {
	if p.cfg.Publication == "" {
		return nil
	}
	publication, err := ReadPublication(ctx, p.conn, p.cfg.Publication)
	if errors.Is(err, ErrNoPublication) {
		p.found = append(p.found, noPublication(p.cfg.Publication, p.tables))
		return p.checkExist(ctx, p.tables)
	}
	if err != nil {
		return err
	}
	published, err := ReadCatalog(ctx, p.conn, p.cfg.Publication)
	if err != nil {
		return err
	}
	wanted, missing := p.choose(published)
	p.checkOperations(publication, wanted)
	for i := range wanted {
		p.about([]string{wanted[i].FullName()}, func() { p.checkTable(publication, &wanted[i]) })
		var err error
		p.about([]string{wanted[i].FullName()}, func() { err = p.checkLeaves(ctx, publication, &wanted[i]) })
		if err != nil {
			return err
		}
	}
	return p.checkMissing(ctx, missing)
}

// choose splits the configured tables into those that are published and the names of the others.
func (p *preflight) choose(published []Table) (wanted []Table, missing []string) {
	if len(p.tables) == 0 {
		if len(published) == 0 {
			p.fault("run ALTER PUBLICATION "+quoteName(p.cfg.Publication)+" ADD TABLE …", "publication %q has no tables", p.cfg.Publication)
		}
		return published, nil
	}
	for _, name := range p.tables {
		at := slices.IndexFunc(published, func(t Table) bool { return t.FullName() == name })
		if at < 0 {
			missing = append(missing, name)
		} else {
			wanted = append(wanted, published[at])
		}
	}
	return wanted, missing
}

// checkMissing reports the tables that the publication does not send.
func (p *preflight) checkMissing(ctx context.Context, names []string) error {
	for _, name := range names {
		exists, unlogged, leaves, err := p.exists(ctx, name)
		switch {
		case err != nil:
			return err
		}
		p.about([]string{name}, func() {
			switch {
			case !exists:
				p.noTable(name)
			case unlogged:
				p.unlogged(name)
			case leaves:
				p.fault(fmt.Sprintf("let its owner run ALTER PUBLICATION %s SET (publish_via_partition_root = true)", quoteName(p.cfg.Publication)),
					"publication %q sends the rows of partitioned table %s under the names of its partitions, and not all of them", p.cfg.Publication, name)
			default:
				p.fault(fmt.Sprintf("let its owner run ALTER PUBLICATION %s ADD TABLE %s", quoteName(p.cfg.Publication), quoteTable(name)),
					"table %s is not in publication %q", name, p.cfg.Publication)
			}
		})
	}
	return nil
}

// checkExist reports the tables that do not exist.
func (p *preflight) checkExist(ctx context.Context, names []string) error {
	for _, name := range names {
		exists, _, _, err := p.exists(ctx, name)
		if err != nil {
			return err
		}
		if !exists {
			p.noTable(name)
		}
	}
	return nil
}

func (p *preflight) noTable(name string) {
	p.fault("check the name under tables: schema.table, as pg_class spells it", "table %s does not exist in database %q", name, p.conn.Config().Database)
}

// unlogged: PostgreSQL writes no WAL of such a table, and publishes none.
func (p *preflight) unlogged(name string) {
	p.fault(fmt.Sprintf("let its owner run ALTER TABLE %s SET LOGGED", quoteTable(name)),
		"table %s is unlogged: PostgreSQL writes no WAL of its changes and publishes none of them", name)
}

// exists also says whether the table is unlogged, and whether it is partitioned and the publication sends partitions of it instead.
func (p *preflight) exists(ctx context.Context, name string) (exists, unlogged, leaves bool, err error) {
	schema, table := splitName(name)
	if err := p.conn.QueryRow(ctx, query("table_exists"), schema, table, p.cfg.Publication).Scan(&exists, &unlogged, &leaves); err != nil {
		return false, false, false, fmt.Errorf("look for table %s: %w", name, err)
	}
	return exists, unlogged, leaves, nil
}

// checkOperations: a table with a key can change in every way, so all of them must be sent.
func (p *preflight) checkOperations(pub Publication, tables []Table) {
	lost, of := pub.Unsent(tables)
	if len(lost) == 0 {
		return
	}
	p.about(of, func() {
		p.fault(fmt.Sprintf("run ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate')", quoteName(pub.Name)),
			"publication %q does not send: %s", pub.Name, strings.Join(lost, ", "))
	})
}

// Unsent lists the operations that the publication does not send though some of the tables need them, and those tables.
func (pub Publication) Unsent(tables []Table) (lost, of []string) {
	keyed := slices.ContainsFunc(tables, func(t Table) bool { return len(t.Key) > 0 })
	for _, op := range []struct {
		name       string
		sent, need bool
	}{
		{"insert", pub.Insert, true},
		{"update", pub.Update, keyed},
		{"delete", pub.Delete, keyed},
		{"truncate", pub.Truncate, keyed},
	} {
		if op.need && !op.sent {
			lost = append(lost, op.name)
		}
	}
	for _, t := range tables {
		if len(lost) > 0 && (len(t.Key) > 0 || !pub.Insert) {
			of = append(of, t.FullName())
		}
	}
	return lost, of
}

func (p *preflight) checkTable(pub Publication, t *Table) {
	name, role := quoteName(t.Schema, t.Name), quoteName(p.conn.Config().User)
	if !t.CanSelect {
		p.fault(fmt.Sprintf("run GRANT USAGE ON SCHEMA %s TO %s; GRANT SELECT ON %s TO %s", quoteName(t.Schema), role, name, role),
			"role %q may not read table %s", p.conn.Config().User, t.FullName())
	}
	if t.RowSecurity {
		p.fault(fmt.Sprintf("let a superuser run ALTER ROLE %s BYPASSRLS", role),
			"row-level security hides rows of table %s from role %q, but not from the stream", t.FullName(), p.conn.Config().User)
	}
	if len(t.Key) > 0 || !pub.Update && !pub.Delete {
		return
	}
	if t.ReplicaIdentity == IdentityNothing {
		p.fault(fmt.Sprintf("let its owner run ALTER TABLE %s REPLICA IDENTITY DEFAULT (or FULL), or leave it out", name),
			"table %s has REPLICA IDENTITY NOTHING: its rows cannot be told apart in the stream, and PostgreSQL refuses its UPDATE and DELETE while publication %q sends them", t.FullName(), pub.Name)
		return
	}
	if t.ReplicaIdentity == IdentityFull {
		p.fault("add a primary key, or see that it is only inserted into", "%w: %s has REPLICA IDENTITY FULL, its rows cannot be told apart", ErrNoKey, t.FullName())
		return
	}
	p.fault("add a primary key that is not deferrable, or see that it is only inserted into",
		"%w: %s has no replica identity, so PostgreSQL refuses its UPDATE and DELETE while publication %q sends them", ErrNoKey, t.FullName(), pub.Name)
}

// checkLeaves: the stream names a row of a partitioned table by the replica identity of its leaf.
func (p *preflight) checkLeaves(ctx context.Context, pub Publication, t *Table) error {
	if !t.Partitioned {
		return nil
	}
	if err := p.checkUnlogged(ctx, t); err != nil {
		return err
	}
	if len(t.Key) == 0 || !pub.Update && !pub.Delete {
		return nil
	}
	rows, err := p.conn.Query(ctx, query("other_identities"), t.OID, t.Key)
	if err != nil {
		return fmt.Errorf("read identities of the partitions of %s: %w", t.FullName(), err)
	}
	var schema, name string
	_, err = pgx.ForEachRow(rows, []any{&schema, &name}, func() error {
		p.fault(fmt.Sprintf("let its owner run ALTER TABLE %s REPLICA IDENTITY FULL", quoteName(schema, name)),
			"partition %s of %s has a replica identity of its own, without the key %v: its updates and deletes would not say which row they are of",
			FullName(schema, name), t.FullName(), t.Key)
		return nil
	})
	return err
}

// checkUnlogged: a partition can be unlogged while its table is published.
func (p *preflight) checkUnlogged(ctx context.Context, t *Table) error {
	rows, err := p.conn.Query(ctx, query("unlogged_leaves"), t.OID)
	if err != nil {
		return fmt.Errorf("read partitions of %s: %w", t.FullName(), err)
	}
	var schema, name string
	_, err = pgx.ForEachRow(rows, []any{&schema, &name}, func() error {
		p.fault(fmt.Sprintf("let its owner run ALTER TABLE %s SET LOGGED, then send SIGHUP to a bridge that runs", quoteName(schema, name)),
			"partition %s of %s is unlogged: PostgreSQL writes no WAL of its changes and publishes none of them", FullName(schema, name), t.FullName())
		return nil
	})
	if err != nil {
		return fmt.Errorf("read partitions of %s: %w", t.FullName(), err)
	}
	return nil
}
