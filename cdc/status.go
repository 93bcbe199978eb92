package cdc

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
)

// status is the other direction of a stream: what is confirmed, as often as PostgreSQL must hear from us. It has its
// own goroutine, which alone writes to the connection and never reads from it. So a consumer that stalls, and with it
// the reader, does not make the walsender time out.
type status struct {
	conn      *replConn
	interval  time.Duration
	confirmed atomic.Uint64
	asking    atomic.Bool   // the next update asks the server for an answer
	wake      chan struct{} // holds one token when an update is due
}

func newStatus(conn *replConn, interval time.Duration, confirmed LSN) *status {
	s := &status{conn: conn, interval: interval, wake: make(chan struct{}, 1)}
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
		if err := s.update(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return s.update()
		case <-ticker.C:
		case <-s.wake:
			ticker.Reset(s.interval)
		}
	}
}

func (s *status) update() error {
	lsn := LSN(s.confirmed.Load())
	if err := s.conn.Conn().SetWriteDeadline(time.Now().Add(cleanupTimeout)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	// All three, since a zero flush or apply would be taken for write. No context: it bounds nothing here.
	err := pglogrepl.SendStandbyStatusUpdate(context.Background(), s.conn.PgConn, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: lsn, WALFlushPosition: lsn, WALApplyPosition: lsn, ReplyRequested: s.asking.Swap(false),
	})
	if err != nil {
		return fmt.Errorf("send status update: %w", err)
	}
	return nil
}
