package cdc

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/fault"
)

const (
	defaultQueueBytes = 32 << 20
	maxStatusInterval = 10 * time.Second
	minReceiveTimeout = 30 * time.Second
)

// OpenStream starts streaming the transactions whose commit LSN is not below from; 0 stands for the slot's own
// position. A slot that is ahead of from has let go of transactions that were never received: ErrSlotAhead.
func OpenStream(ctx context.Context, cfg Config, from LSN, opts StreamOptions) (*Stream, error) {
	slot, err := awaitSlot(ctx, cfg, from)
	if err != nil {
		return nil, err
	}
	if from == 0 {
		from = slot.ConfirmedFlush
	}
	conn, err := connectReplication(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Stream{conn: conn, decoder: newDecoder(from), incoming: &raw{}, out: make(chan *Batch)}
	if err := s.start(ctx, cfg, from, opts); err != nil {
		conn.end()
		return nil, err
	}
	s.queue = newQueue(s.opts.QueueBytes)
	// Not from: that it was applied does not say that its owner will never go back behind it.
	s.status = newStatus(conn, s.opts.StatusInterval, slot.ConfirmedFlush, cfg.Hook)
	return s, nil
}

func (s *Stream) start(ctx context.Context, cfg Config, from LSN, opts StreamOptions) (err error) {
	if s.identity, _, err = identify(ctx, s.conn, cfg); err != nil {
		return err
	}
	timeout, err := walSenderTimeout(ctx, s.conn)
	if err != nil {
		return err
	}
	s.opts = opts.withDefaults(timeout)
	err = cfg.Hook.Around(ctx, "start_replication", func() error {
		return pglogrepl.StartReplication(ctx, s.conn.PgConn, quoteName(cfg.Slot), from, pglogrepl.StartReplicationOptions{
			Mode: pglogrepl.LogicalReplication,
			PluginArgs: []string{
				"proto_version '1'",
				// A list of identifiers within a literal.
				"publication_names " + quoteLiteral(quoteName(cfg.Publication)),
			},
		})
	})
	switch sqlState(err) {
	case "55006":
		return slotInUse(cfg.Slot, 0)
	case "42704":
		return fault.New("run tidemark check", "start replication from slot %q: %w", cfg.Slot, err)
	}
	if err != nil {
		return fmt.Errorf("start replication from slot %q: %w", cfg.Slot, err)
	}
	return nil
}

func (o StreamOptions) withDefaults(walSenderTimeout time.Duration) StreamOptions {
	if o.QueueBytes <= 0 {
		o.QueueBytes = defaultQueueBytes
	}
	if o.StatusInterval <= 0 {
		o.StatusInterval = maxStatusInterval
		if walSenderTimeout > 0 {
			o.StatusInterval = max(min(walSenderTimeout/4, maxStatusInterval), time.Millisecond)
		}
	}
	if o.ReceiveTimeout <= 0 {
		o.ReceiveTimeout = max(2*walSenderTimeout, minReceiveTimeout)
	}
	return o
}

// walSenderTimeout as it holds in this session, 0 if there is none.
func walSenderTimeout(ctx context.Context, conn *replConn) (time.Duration, error) {
	results, err := conn.Exec(ctx, "SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'").ReadAll()
	if err != nil {
		return 0, fmt.Errorf("read wal_sender_timeout: %w", err)
	}
	ms, err := strconv.Atoi(string(results[0].Rows[0][0]))
	if err != nil {
		return 0, fmt.Errorf("read wal_sender_timeout: %w", err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// awaitSlot returns the slot once it can be streamed from the position, waiting a moment while it is in use.
func awaitSlot(ctx context.Context, cfg Config, from LSN) (Slot, error) {
	conn, err := Connect(ctx, cfg)
	if err != nil {
		return Slot{}, err
	}
	defer closeConn(ctx, conn)
	if _, err := ReadPublication(ctx, conn, cfg.Publication); err != nil {
		return Slot{}, err
	}
	var slot Slot
	err = whileInUse(ctx, func() error {
		slot, err = usableSlot(ctx, conn, cfg.Slot, from)
		return err
	})
	return slot, err
}

func usableSlot(ctx context.Context, conn *pgx.Conn, name string, from LSN) (Slot, error) {
	slot, err := SlotInfo(ctx, conn, name)
	if err != nil {
		return slot, err
	}
	if err := slot.check(name, conn.Config().Database); err != nil {
		return slot, err
	}
	if from != 0 && slot.ConfirmedFlush > from {
		return slot, fault.New("`tidemark uninstall --slot --data` and start again, which loads every table anew",
			"slot %q: %w: it stands at %s, the target at %s, as after restoring a backup; the changes between are lost", name, ErrSlotAhead, slot.ConfirmedFlush, from)
	}
	return slot, nil
}
