package cdc

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/tidemark-db/tidemark/internal/failpoint"
)

// status is the other direction of a stream: what is confirmed, as often as PostgreSQL must hear from us. It has its
// own goroutine, which alone writes to the connection and never reads from it. So a consumer that stalls, and with it
// the reader, does not make the walsender time out.
type status struct {
	conn      *replConn
	interval  time.Duration
	hook      failpoint.Hook
	sent      LSN // the last position that an update reported; send's own
	confirmed atomic.Uint64
	asking    atomic.Bool   // the next update asks the server for an answer
	wake      chan struct{} // holds one token when an update is due
}

func newStatus(conn *replConn, interval time.Duration, confirmed LSN, hook failpoint.Hook) *status {
	s := &status{conn: conn, interval: interval, hook: hook, sent: confirmed, wake: make(chan struct{}, 1)}
	s.confirmed.Store(uint64(confirmed))
	return s
}

func (s *status) confirm(lsn LSN) {
	for {
		old := s.confirmed.Load()
		if uint64(lsn) <= old {
			return
		}
		if s.confirmed.CompareAndSwap(old, uint64(lsn)) {
			notify(s.wake)
			return
		}
	}
}

// reply answers the server's request.
func (s *status) reply() { notify(s.wake) }

// ask wants to hear from the server.
func (s *status) ask() {
	s.asking.Store(true)
	notify(s.wake)
}

// send runs until ctx ends, when it reports a last time, or until the connection breaks.
func (s *status) send(ctx context.Context) error {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		if err := s.update(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return s.update(ctx)
		case <-ticker.C:
		case <-s.wake:
			ticker.Reset(s.interval)
		}
	}
}

// update reports the confirmed position. Only one that PostgreSQL has not heard yet changes its state.
func (s *status) update(ctx context.Context) error {
	lsn, hook := LSN(s.confirmed.Load()), s.hook
	if lsn == s.sent {
		hook = nil
	}
	s.sent = lsn
	return hook.Around(ctx, "confirm", func() error {
		if err := s.conn.Conn().SetWriteDeadline(time.Now().Add(cleanupTimeout)); err != nil {
			return fmt.Errorf("set write deadline: %w", err)
		}
		// All three, since a zero flush or apply would be taken for write. No context: it bounds nothing here.
		return pglogrepl.SendStandbyStatusUpdate(context.Background(), s.conn.PgConn, pglogrepl.StandbyStatusUpdate{
			WALWritePosition: lsn, WALFlushPosition: lsn, WALApplyPosition: lsn, ReplyRequested: s.asking.Swap(false),
		})
	})
}
