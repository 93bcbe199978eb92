package cdc

import (
	"context"
	"fmt"

	"github.com/jackc/pglogrepl"
)

// Barrier is an instant of the source's history that both a snapshot and a stream can name: the snapshot holds
// exactly the transactions with commit LSN < LSN, a stream from LSN exactly the others. It is a temporary slot whose
// session keeps the exported snapshot. While it is open it holds back vacuum and WAL.
type Barrier struct {
	LSN      LSN
	Snapshot string // for SET TRANSACTION SNAPSHOT, while the barrier is open

	cfg  Config
	conn *replConn
}

// OpenBarrier waits like CreateSlot for older transactions and ends like it with ctx.
func OpenBarrier(ctx context.Context, cfg Config) (*Barrier, error) {
	name, err := temporaryName(cfg.Slot)
	if err != nil {
		return nil, err
	}
	conn, err := connectReplication(ctx, cfg)
	if err != nil {
		return nil, err
	}
	b := &Barrier{cfg: cfg, conn: conn}
	if err := b.open(ctx, name); err != nil {
		conn.end()
		return nil, err
	}
	return b, nil
}

func (b *Barrier) open(ctx context.Context, name string) error {
	result, err := createSlot(ctx, b.cfg, b.conn, "create_barrier", name,
		pglogrepl.CreateReplicationSlotOptions{Temporary: true, SnapshotAction: "EXPORT_SNAPSHOT"})
	if err != nil {
		return err
	}
	b.Snapshot = result.SnapshotName
	if b.LSN, err = pglogrepl.ParseLSN(result.ConsistentPoint); err != nil {
		return fmt.Errorf("read consistent point: %w", err)
	}
	return nil
}

// Close ends the barrier: its snapshot cannot be imported any more, its slot is gone. Transactions that have imported
// the snapshot keep it.
func (b *Barrier) Close() { b.conn.end() }
