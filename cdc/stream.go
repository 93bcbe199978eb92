package cdc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// ErrSilent says that the server did not answer: the connection is dead though nobody closed it.
var ErrSilent = errors.New("PostgreSQL is silent")

// errEnded says that the server ended the stream in good order, as it does when it shuts down.
var errEnded = errors.New("PostgreSQL ended the replication stream")

const (
	// linger is how long an unfinished batch waits for more: what batching adds to the latency of a change.
	linger = 2 * time.Millisecond
	// gather is the pause before reading on in the middle of a batch. The walsender sends each change by itself; one
	// read per change, and waking up for it, would cost several times what decoding costs. A quarter of this
	// takes a quarter more of the bridge's time while catching up.
	gather = linger
	// leavePatience bounds the end of a stream.
	leavePatience = 2 * time.Second
)

// StreamOptions of OpenStream; zero values are defaults.
type StreamOptions struct {
	// QueueBytes bounds what has come and is not yet Done, as PostgreSQL sent it, give or take one batch. 32 MiB.
	QueueBytes int
	// StatusInterval is the longest time between two status updates. A quarter of wal_sender_timeout, at most 10 s.
	StatusInterval time.Duration
	// ReceiveTimeout is how long the server may be silent, though asked for an answer, before the connection counts
	// as dead. Twice wal_sender_timeout, at least 30 s.
	ReceiveTimeout time.Duration
}

// Stream is an open replication stream. Its owner calls Run in one goroutine and reads Batches in another.
type Stream struct {
	conn     *replConn
	identity Identity
	opts     StreamOptions
	decoder  *decoder
	incoming *raw // what comes is appended to it
	queue    *queue
	status   *status
	out      chan *Batch

	heard     time.Time // when the server was last heard of
	lingering bool      // the read deadline is that of an unfinished batch
}

// Identity of the source, as the stream's own session saw it.
func (s *Stream) Identity() Identity { return s.identity }

// Batches is closed when Run returns. What was not taken by then is dropped: the next stream brings it again.
func (s *Stream) Batches() <-chan *Batch { return s.out }

// Waiting reports whether more has come than Batches has handed out.
func (s *Stream) Waiting() bool { return s.queue.waiting() }

// Done takes the batch out of the bound of the queue. Without it the stream stops at the bound, so whoever
// collects a transaction of any size must let go of its batches on the way.
func (s *Stream) Done(b *Batch) {
	s.queue.done(b.held)
	b.held = 0 // a second Done changes nothing
}

// Confirm tells PostgreSQL that everything before lsn is durable here and need never be sent again. It never moves
// back. Nothing else confirms anything, not even what is received while idle.
func (s *Stream) Confirm(lsn LSN) { s.status.confirm(lsn) }

// Close ends the session of a stream that is never run; Run does it itself.
func (s *Stream) Close() { s.conn.end() }

// Run reads until ctx ends, which is its only end without an error, or until something fails. It closes Batches and
// the session. What was confirmed before ctx ended is reported to PostgreSQL.
func (s *Stream) Run(ctx context.Context) error {
	run, cancel := context.WithCancelCause(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() { // ends with run, or at what cannot be decoded
		defer close(s.out)
		if err := s.decode(run); err != nil {
			cancel(err)
		}
	})
	tasks.Go(func() { // ends with run, or when the connection breaks
		if err := s.status.send(run); err != nil {
			cancel(err)
		}
	})
	// A read that waits is woken by its deadline; arm looks at the context again after every move of it.
	stop := context.AfterFunc(run, func() { _ = s.conn.Conn().SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err := s.read(run)
	if cause := context.Cause(run); cause != nil {
		err = cause
	}
	cancel(err)
	tasks.Wait()
	if ctx.Err() == nil {
		_ = s.conn.Conn().Close() // whatever it was, there is nothing to say good-bye to
		s.conn.end()
		return fmt.Errorf("stream: %w", err)
	}
	s.leave()
	return nil
}

// decode hands out what has come, batch by batch.
func (s *Stream) decode(ctx context.Context) error {
	for {
		r, err := s.queue.pop(ctx)
		if err != nil {
			return err
		}
		b, err := s.decoder.batch(r)
		if err != nil {
			return err
		}
		if len(b.Events) == 0 {
			s.Done(b)
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s.out <- b:
		}
	}
}

// leave ends the session and waits a moment for the walsender to let go of the slot, which it does before it hangs up.
func (s *Stream) leave() {
	defer s.conn.end()
	conn := s.conn.Conn()
	if err := conn.SetDeadline(time.Now().Add(leavePatience)); err != nil {
		return
	}
	s.conn.Frontend().Send(&pgproto3.Terminate{})
	if err := s.conn.Frontend().Flush(); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, conn)
}

// read moves messages from the connection to the queue.
func (s *Stream) read(ctx context.Context) error {
	s.heard = time.Now()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		if err := s.arm(ctx); err != nil {
			return err
		}
		if s.lingering && s.conn.buffered() == 0 {
			pause.Reset(gather)
			<-pause.C
		}
		msg, err := s.conn.Frontend().Receive()
		var netErr net.Error
		switch {
		case err == nil:
			err = s.handle(msg)
		case errors.As(err, &netErr) && netErr.Timeout():
			err = s.expired(ctx)
		}
		if err != nil {
			return err
		}
		if len(s.incoming.buf) >= batchBytes {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// arm sets the read deadline where it must change: soon while a batch is unfinished and nothing is left to read, else
// when the server's silence must be looked at. It does so at most once per batch, so that a busy stream does not pay
// for it.
func (s *Stream) arm(ctx context.Context) error {
	if s.lingering || (s.incoming.count > 0 && s.conn.buffered() > 0) {
		return ctx.Err()
	}
	wait := s.opts.ReceiveTimeout / 4
	if s.incoming.count > 0 {
		wait, s.lingering = linger, true
	}
	if err := s.conn.Conn().SetReadDeadline(time.Now().Add(wait)); err != nil {
		return fmt.Errorf("set read deadline: %w", err)
	}
	return ctx.Err()
}

// expired is called when the read deadline has passed.
func (s *Stream) expired(ctx context.Context) error {
	s.lingering = false
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.incoming.count > 0 {
		return s.flush(ctx)
	}
	silence := time.Since(s.heard)
	if silence >= s.opts.ReceiveTimeout {
		return fmt.Errorf("%w for %s, though asked for an answer", ErrSilent, silence.Round(time.Second))
	}
	if silence >= s.opts.ReceiveTimeout/2 {
		s.status.ask()
	}
	return nil
}

// flush hands over what has come and waits for room for more.
func (s *Stream) flush(ctx context.Context) error {
	s.incoming = s.queue.put(s.incoming)
	if !s.queue.full() {
		return nil
	}
	if err := s.queue.wait(ctx); err != nil {
		return err
	}
	s.heard = time.Now() // nobody listened meanwhile
	return nil
}

func (s *Stream) handle(msg pgproto3.BackendMessage) error {
	switch msg := msg.(type) {
	case *pgproto3.CopyData:
		return s.data(msg.Data)
	case *pgproto3.ErrorResponse:
		return pgconn.ErrorResponseToPgError(msg)
	case *pgproto3.CopyDone, *pgproto3.CommandComplete, *pgproto3.ReadyForQuery:
		return errEnded
	case *pgproto3.NoticeResponse:
		return s.notice(msg)
	case *pgproto3.ParameterStatus, *pgproto3.NotificationResponse:
		return nil
	}
	return fmt.Errorf("unexpected message %T", msg)
}

// notice: where the publication does not exist at some point of the WAL, PostgreSQL 18 only warns and goes on without
// its tables, which would be a silent gap; older versions fail.
func (s *Stream) notice(msg *pgproto3.NoticeResponse) error {
	const objectNotInPrerequisiteState = "55000"
	if msg.Code != objectNotInPrerequisiteState {
		return nil
	}
	return fault.New("create it again and load every table anew: what was written without it is not in the stream",
		"%w at this point of the WAL: %s", ErrNoPublication, oneLine(msg.Message))
}

// data handles one message of the replication protocol.
func (s *Stream) data(data []byte) error {
	if len(data) == 0 {
		return errTruncated
	}
	s.heard = time.Now()
	switch data[0] {
	case pglogrepl.XLogDataByteID:
		x, err := pglogrepl.ParseXLogData(data[1:])
		if err != nil {
			return fmt.Errorf("parse XLogData: %w", err)
		}
		s.incoming.add(data[0], x.WALData)
		return nil
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		k, err := pglogrepl.ParsePrimaryKeepaliveMessage(data[1:])
		if err != nil {
			return fmt.Errorf("parse keepalive: %w", err)
		}
		s.incoming.add(data[0], data[1:])
		if k.ReplyRequested {
			s.status.reply()
		}
		return nil
	}
	return fmt.Errorf("unknown replication message %q", data[0])
}
