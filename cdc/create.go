package cdc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// ErrBlocked is in the chain of the error when older transactions did not end in time for a slot to be created.
var ErrBlocked = errors.New("older transactions do not end")

// CreateSlot creates the configured slot and returns its consistent point: the stream from there on holds every
// transaction whose commit LSN is not below it. PostgreSQL waits for each transaction that was writing before,
// prepared ones and those of other databases too. When ctx ends first, nothing is left behind, and the error names
// those transactions.
func CreateSlot(ctx context.Context, cfg Config) (LSN, error) {
	if err := checkSlotName(cfg.Slot); err != nil {
		return 0, err
	}
	conn, err := connectReplication(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer conn.end()
	result, err := createSlot(ctx, cfg, conn, "create_slot", cfg.Slot, pglogrepl.CreateReplicationSlotOptions{SnapshotAction: "NOEXPORT_SNAPSHOT"})
	if err != nil {
		return 0, err
	}
	return pglogrepl.ParseLSN(result.ConsistentPoint)
}

// creation is a CREATE_REPLICATION_SLOT under way; its result is valid once done is closed.
type creation struct {
	pglogrepl.CreateReplicationSlotResult
	err  error
	done chan struct{}
}

// createSlot runs CREATE_REPLICATION_SLOT on conn until ctx ends, as the statement of that name. The command itself does not run under ctx: its
// session must live until those that block it have been named.
func createSlot(ctx context.Context, cfg Config, conn *replConn, statement, name string, options pglogrepl.CreateReplicationSlotOptions) (pglogrepl.CreateReplicationSlotResult, error) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	c := &creation{done: make(chan struct{})}
	go func() { // ends with the command, which abandon ends; this function waits for it
		defer close(c.done)
		c.err = c.attempt(run, cfg, conn, statement, name, options)
	}()
	select {
	case <-c.done:
		return c.CreateReplicationSlotResult, createFault(name, c.err)
	case <-ctx.Done():
	}
	blockers, err := abandon(ctx, cfg, conn, name, c)
	if err != nil {
		cancel() // the server did not help: end it from this side
		<-c.done
	}
	return pglogrepl.CreateReplicationSlotResult{}, blockedFault(ctx, name, blockers, err)
}

// PostgreSQL gives up, and drops, a slot whose snapshot would have to list more transactions than fit ("initial slot snapshot
// too large"). That is chance: the next attempt meets others.
const (
	snapshotTooLarge = "40001" // SQLSTATE
	mostAttempts     = 10
	betweenAttempts  = 100 * time.Millisecond
)

func (c *creation) attempt(ctx context.Context, cfg Config, conn *replConn, statement, name string, options pglogrepl.CreateReplicationSlotOptions) (err error) {
	for range mostAttempts {
		err = cfg.Hook.Around(ctx, statement, func() (err error) {
			c.CreateReplicationSlotResult, err = pglogrepl.CreateReplicationSlot(ctx, conn.PgConn, quoteName(name), "pgoutput", options)
			return err
		})
		if sqlState(err) != snapshotTooLarge {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(betweenAttempts):
		}
	}
	return err
}

func createFault(name string, err error) error {
	switch sqlState(err) {
	case "42710":
		return fault.New("choose another name in source.slot, or drop the slot if nothing uses it",
			"create slot %q: it exists", name)
	case "53400":
		return fault.New("raise max_replication_slots, or drop slots that nothing uses",
			"create slot %q: all replication slots are in use", name)
	}
	if err != nil {
		return fmt.Errorf("create slot %q: %w", name, err)
	}
	return nil
}

func blockedFault(ctx context.Context, name string, blockers string, cleanup error) error {
	if blockers == "" {
		blockers = "unknown"
	}
	return errors.Join(&fault.Error{
		What: fmt.Sprintf("create slot %q: PostgreSQL waits for older transactions: %s", name, blockers),
		Try:  "commit or roll them back, or end them with pg_terminate_backend(pid) or ROLLBACK PREPARED, then try again",
		Err:  errors.Join(ErrBlocked, ctx.Err()),
	}, cleanup)
}

// abandon ends the walsender that waits in CREATE_REPLICATION_SLOT and makes sure that neither it nor the slot is
// left. A slot of that name that somebody else created, as the bridge that has overtaken this one, stays. It returns what
// the walsender waited for.
func abandon(ctx context.Context, cfg Config, waiting *replConn, name string, c *creation) (blockers string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	conn, err := Connect(ctx, cfg)
	if err != nil {
		return "", err
	}
	defer closeConn(ctx, conn)
	pid := int32(waiting.PID())
	if err := conn.QueryRow(ctx, query("blockers"), pid).Scan(&blockers); err != nil {
		return "", fmt.Errorf("find what blocks process %d: %w", pid, err)
	}
	var ours bool // a slot belongs to its walsender while it is being created
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active_pid = $2)", name, pid).Scan(&ours)
	if err != nil {
		return blockers, fmt.Errorf("find slot %q: %w", name, err)
	}
	if err := terminate(ctx, cfg, conn, pid); err != nil {
		return blockers, err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return blockers, fmt.Errorf("end process %d: %w", pid, ctx.Err())
	}
	if !ours && c.err != nil {
		return blockers, nil
	}
	return blockers, forget(ctx, cfg, conn, name, pid)
}

// terminate ends a session of PostgreSQL.
func terminate(ctx context.Context, cfg Config, conn *pgx.Conn, pid int32) error {
	err := cfg.Hook.Around(ctx, "terminate", func() error {
		_, err := conn.Exec(ctx, "SELECT pg_terminate_backend($1)", pid)
		return err
	})
	if err != nil {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	return nil
}

// forget waits until process pid is gone and drops the slot if its creation finished at the last moment.
func forget(ctx context.Context, cfg Config, conn *pgx.Conn, name string, pid int32) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		var alive bool
		err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid).Scan(&alive)
		if err != nil {
			return fmt.Errorf("wait for the end of process %d: %w", pid, err)
		}
		if !alive {
			return dropSlot(ctx, cfg, conn, name)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of process %d: %w", pid, ctx.Err())
		case <-ticker.C:
		}
	}
}

// temporaryName is the name of a slot that lives as long as one session: the configured name, as far as it fits, and
// a random end.
func temporaryName(slot string) (string, error) {
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("name a temporary slot: %w", err)
	}
	return slot[:min(len(slot), 40)] + "_barrier_" + hex.EncodeToString(random[:]), nil
}
