package cdc

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// Errors about a slot, to be found with errors.Is.
var (
	ErrNoSlot    = errors.New("replication slot does not exist")
	ErrSlotInUse = errors.New("replication slot is in use")
	ErrSlotLost  = errors.New("replication slot is invalidated")
	ErrSlotAhead = errors.New("replication slot is ahead")
)

var slotName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// checkSlotName: PostgreSQL would silently cut a longer name.
func checkSlotName(name string) error {
	if !slotName.MatchString(name) {
		return fault.New("use up to 63 small letters, digits and underscores", "source.slot: %q is not a name that PostgreSQL takes for a slot", name)
	}
	return nil
}

// Slot is the state of a replication slot.
type Slot struct {
	Exists         bool
	Plugin         string
	Database       string
	Active         bool
	ActivePID      int32
	ConfirmedFlush LSN    // PostgreSQL will not send transactions that ended before
	RestartLSN     LSN    // WAL from here on is kept
	WALStatus      string // reserved, extended, unreserved or lost
	Lost           bool
	RetainedBytes  int64 // WAL that the slot keeps
	Transactions   int64 // how many began since the oldest one whose catalogue rows vacuum has to leave for the slot
}

// SlotInfo returns the state of the configured slot; one that does not exist is no error.
func SlotInfo(ctx context.Context, conn *pgx.Conn, name string) (Slot, error) {
	var s Slot
	err := conn.QueryRow(ctx, query("slot"), name).Scan(&s.Plugin, &s.Database, &s.Active, &s.ActivePID,
		&s.ConfirmedFlush, &s.RestartLSN, &s.WALStatus, &s.Lost, &s.RetainedBytes, &s.Transactions)
	if errors.Is(err, pgx.ErrNoRows) {
		return Slot{}, nil
	}
	if err != nil {
		return Slot{}, fmt.Errorf("read slot %q: %w", name, err)
	}
	s.Exists = true
	return s, nil
}

// readSlot is SlotInfo on a session of its own.
func readSlot(ctx context.Context, cfg Config) (Slot, error) {
	conn, err := Connect(ctx, cfg)
	if err != nil {
		return Slot{}, err
	}
	defer closeConn(ctx, conn)
	return SlotInfo(ctx, conn, cfg.Slot)
}

// check returns why a stream of database cannot start from the slot, or nil.
func (s Slot) check(name, database string) error {
	switch {
	case !s.Exists:
		return fault.New("give the name of the slot that was read before; or, if it was dropped, `tidemark uninstall --data` and start again, which loads every table anew",
			"slot %q: %w", name, ErrNoSlot)
	case s.Plugin != "pgoutput" || s.Database != database:
		return fault.New("choose another name in source.slot",
			"slot %q belongs to plugin %q and database %q, not to pgoutput and %q", name, s.Plugin, s.Database, database)
	case s.Lost:
		return fault.New("`tidemark uninstall --slot --data` and start again, which loads every table anew; raise max_slot_wal_keep_size",
			"slot %q: %w (wal_status %s): the changes since %s are lost", name, ErrSlotLost, s.WALStatus, s.ConfirmedFlush)
	case s.Active:
		return slotInUse(name, s.ActivePID)
	}
	return nil
}

func slotInUse(name string, pid int32) error {
	return fault.New("stop the other reader, or choose another name in source.slot",
		"slot %q: %w by the process %d of PostgreSQL", name, ErrSlotInUse, pid)
}

// EnsureSlot creates the slot unless it exists, and returns the position from which it streams and whether it is new.
func EnsureSlot(ctx context.Context, cfg Config) (at LSN, created bool, err error) {
	slot, err := readSlot(ctx, cfg)
	if err != nil {
		return 0, false, err
	}
	if slot.Exists {
		return slot.ConfirmedFlush, false, nil
	}
	at, err = CreateSlot(ctx, cfg)
	return at, err == nil, err
}

// DropSlot drops the slot; one that does not exist is no error, one in use is.
func DropSlot(ctx context.Context, cfg Config) error {
	conn, err := Connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	return whileInUse(ctx, func() error { return dropSlot(ctx, cfg, conn, cfg.Slot) })
}

func dropSlot(ctx context.Context, cfg Config, conn *pgx.Conn, name string) error {
	err := cfg.Hook.Around(ctx, "drop_slot", func() error {
		_, err := conn.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", name)
		return err
	})
	switch sqlState(err) {
	case "42704": // dropped by somebody else in between
		return nil
	case "55006":
		slot, infoErr := SlotInfo(ctx, conn, name)
		return errors.Join(slotInUse(name, slot.ActivePID), infoErr)
	}
	if err != nil {
		return fmt.Errorf("drop slot %q: %w", name, err)
	}
	return nil
}

// The walsender of a session that was just closed needs a moment to let go of its slot.
const (
	slotPatience = 3 * time.Second
	slotRetry    = 50 * time.Millisecond
)

// whileInUse tries again for a moment while the slot is in use.
func whileInUse(ctx context.Context, try func() error) error {
	patience := time.NewTimer(slotPatience)
	defer patience.Stop()
	ticker := time.NewTicker(slotRetry)
	defer ticker.Stop()
	for {
		err := try()
		if !errors.Is(err, ErrSlotInUse) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-patience.C:
			return err
		case <-ticker.C:
		}
	}
}
