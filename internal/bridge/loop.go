package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/block"
	"github.com/tidemark-db/tidemark/internal/shape"
)

// tick is what the stream brought since the last mark.
type tick struct {
	position   cdc.LSN     // everything before it is collected, and nothing after
	commitTime time.Time   // of position
	commits    []time.Time // of the transactions collected since the last mark

	transaction []*cdc.Event // of the transaction under way, until its commit or until it is big
	bytes       int          // of transaction
	open        bool         // within a transaction
	big         bool         // within one that goes to ClickHouse in pieces
}

// Bounds of memory. A tick that holds more than tickBytes is published early, so that it is one piece, in which a key is once:
// pieces that share keys have to be compacted, which costs more than all else that a tick does. What cannot be published yet, a
// transaction of more than bigTransaction and the changes of a table that is being loaded, goes to ClickHouse in pieces of pieceBytes.
const (
	tickBytes      = 48 << 20
	bigTransaction = 16 << 20
	pieceBytes     = 32 << 20
	eventOverhead  = 160 // what an event takes besides its rows
)

// errInterrupted ends a session's goroutines when the loop has ended in order.
var errInterrupted = errors.New("stopped")

// run works until ctx ends or something fails.
func (s *session) run(ctx context.Context) error {
	// The stream and the keeper live until the loop has published its last mark.
	group, inner := errgroup.WithContext(context.WithoutCancel(ctx))
	group.Go(func() error { return s.stream.Run(inner) })
	group.Go(func() error { return s.keeper.run(inner) })
	group.Go(func() error {
		loopCtx, cancel := mergeCancel(inner, ctx)
		defer cancel()
		if err := s.loop(loopCtx); err != nil {
			return err
		}
		return errInterrupted
	})
	if err := group.Wait(); !errors.Is(err, errInterrupted) {
		return err
	}
	return nil
}

// mergeCancel returns a context of a that also ends with b.
func mergeCancel(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(a)
	stop := context.AfterFunc(b, cancel)
	return ctx, func() { stop(); cancel() }
}

// loop owns the mark. It returns nil when ctx ends: a tick under way is abandoned, unless it is at its commit point.
func (s *session) loop(ctx context.Context) (err error) {
	ticker := time.NewTicker(s.cfg.Tick)
	defer ticker.Stop()
	alarms := newAlarms(s.cfg.Schedule)
	defer alarms.stop()
	inner, cancel := context.WithCancel(ctx)
	defer s.stopLoad()
	defer s.stopFold()
	defer s.stopBackfill()
	defer s.stopMerge()
	defer s.stopReread()
	defer func() { s.failJobs(err) }()
	defer cancel()
	for {
		err := s.turn(inner, ticker.C, alarms)
		if ctx.Err() != nil {
			return nil
		}
		if isA[*block.ValueError](err) { // NULL, where the session knows of no DROP NOT NULL yet
			if changed := s.consult(inner); changed != nil {
				err = changed
			}
		}
		if err != nil {
			return err
		}
	}
}

// turn waits for one thing to do and does it.
func (s *session) turn(ctx context.Context, ticks <-chan time.Time, on alarms) error {
	select {
	case <-ctx.Done():
		return nil
	case batch, ok := <-s.stream.Batches():
		if !ok {
			<-ctx.Done() // the stream has failed, and its error is on the way
			return nil
		}
		return s.take(ctx, batch)
	case <-ticks:
		published, err := s.drain(ctx)
		if err == nil && !published {
			err = s.commit(ctx)
		}
		if err != nil {
			return err
		}
		return s.tickOver(ctx)
	case l := <-s.nextLook():
		s.look = &l
		s.looked(ctx)
		return nil
	case <-on.roll.c:
		on.roll.next()
		_, err := s.roll(ctx)
		return err
	case <-on.resync.c:
		on.resync.next()
		s.scheduledResync()
		return nil
	case <-on.verify.c:
		on.verify.next()
		return s.scheduledVerify(ctx)
	case err := <-s.foldDone():
		err = s.endFold(ctx, err)
		s.nextFold(ctx)
		return err
	case err := <-s.backfillDone():
		return s.endBackfill(ctx, err)
	case err := <-s.mergeDone():
		return s.endMerge(ctx, err)
	case barrier := <-s.rereadAsks():
		s.reread.waiting, s.reread.barrier = true, barrier
		s.answerReread()
		return nil
	case err := <-s.rereadEnded():
		outdated := errors.Is(err, cdc.ErrRewritten)
		if err = s.endReread(ctx, err); !outdated { // else the next tick tries again
			s.nextPart(ctx)
		}
		return err
	case j := <-s.jobs:
		return s.job(ctx, j)
	case e := <-s.loadEvents():
		return s.loadEvent(ctx, e)
	}
}

// recover notes, after a tick, that the session does what the last one failed to do: it has published a new position, or
// gone on for a while without one.
func (s *session) recover() {
	if s.recovering && (s.mark.LSN > s.began.lsn || time.Since(s.began.at) > quietRecovery) {
		s.recovering = false
		s.log.Info().Stringer("lsn", s.mark.LSN).Msg("recovered")
	}
}

// quietRecovery is how long a session has to work in a quiet database to count as a recovery.
const quietRecovery = 5 * time.Second

// drain takes what the stream brought while the last tick was written, so that the next one, which is due already, holds all
// of it and not the first batch; but no more than a tick holds. It reports whether a tick was published on the way.
func (s *session) drain(ctx context.Context) (published bool, err error) {
	began := s.mark.Epoch
	for taken := 0; taken < tickBytes && s.mark.Epoch == began && s.stream.Waiting(); {
		select {
		case <-ctx.Done():
			return false, nil
		case batch, ok := <-s.stream.Batches():
			if !ok {
				return false, nil // the loop sees it too
			}
			taken += batch.Bytes
			if err := s.take(ctx, batch); err != nil {
				return false, err
			}
		}
	}
	return s.mark.Epoch != began, nil
}

// tickOver begins what waits for a tick's end.
func (s *session) tickOver(ctx context.Context) error {
	s.recover()
	s.looked(ctx)
	if err := s.savePartitions(ctx); err != nil {
		return err
	}
	if err := s.dropFeedDays(ctx); err != nil {
		return err
	}
	s.overflowing()
	s.nextFold(ctx)
	s.nextPart(ctx)
	s.beginBackfill(ctx)
	s.beginMerge(ctx)
	return s.beginLoad(ctx)
}

// take collects a batch of the stream.
func (s *session) take(ctx context.Context, b *cdc.Batch) error {
	defer s.stream.Done(b)
	s.received(b)
	for i := range b.Events {
		if err := s.event(ctx, &b.Events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) event(ctx context.Context, e *cdc.Event) error {
	switch e.Kind {
	case cdc.Begin:
		s.tick.open = true
		return nil
	case cdc.Change, cdc.Truncate:
		return s.change(ctx, e)
	case cdc.Describe:
		s.described(e.Relation)
	case cdc.Commit:
		return s.endTransaction(ctx, e)
	case cdc.Progress:
		s.advance(e)
	}
	return nil
}

func (s *session) advance(e *cdc.Event) {
	s.tick.position = max(s.tick.position, e.LSN)
	if e.Time.After(s.tick.commitTime) {
		s.tick.commitTime = e.Time
	}
}

// change keeps an event until its transaction commits, so that a tick can be cut before it, or applies it at once where
// the transaction is too big for that.
func (s *session) change(ctx context.Context, e *cdc.Event) error {
	if s.tick.big {
		if err := s.reshape(ctx, []*cdc.Event{e}); err != nil {
			return err
		}
		return s.apply(ctx, e)
	}
	s.tick.transaction = append(s.tick.transaction, e)
	s.tick.bytes += eventOverhead + e.Bytes
	if s.tick.bytes <= bigTransaction {
		return nil
	}
	// What was committed before is published by itself; from here on the tick holds this transaction alone.
	if err := s.commit(ctx); err != nil {
		return err
	}
	s.tick.big = true
	return s.applyTransaction(ctx)
}

func (s *session) endTransaction(ctx context.Context, e *cdc.Event) error {
	if err := s.applyTransaction(ctx); err != nil {
		return err
	}
	s.tick.open, s.tick.big = false, false
	s.tick.commits = append(s.tick.commits, e.Time)
	s.advance(e)
	if s.collected() > tickBytes {
		return s.commit(ctx)
	}
	return nil
}

func (s *session) applyTransaction(ctx context.Context) error {
	if err := s.reshape(ctx, s.tick.transaction); err != nil {
		return err
	}
	for _, e := range s.tick.transaction {
		if err := s.apply(ctx, e); err != nil {
			return err
		}
	}
	clear(s.tick.transaction)
	s.tick.transaction, s.tick.bytes = s.tick.transaction[:0], 0
	return nil
}

// apply adds one event to the tables that it concerns.
func (s *session) apply(ctx context.Context, e *cdc.Event) error {
	if e.Kind == cdc.Truncate {
		return s.truncate(ctx, e)
	}
	t, err := s.find(ctx, e.Relation)
	if t == nil || !s.wants(t, e) {
		return err
	}
	return s.applyTo(ctx, t, e)
}

func (s *session) applyTo(ctx context.Context, t *table, e *cdc.Event) error {
	if e.Kind == cdc.Truncate {
		t.empty()
		return nil
	}
	known, err := s.knows(ctx, t, e.Relation)
	if err != nil {
		return err
	}
	if !known { // of a table that is being loaded; see reshape for others
		return s.reload(ctx, t, fmt.Errorf("its columns are others now: %w", shape.ErrReload))
	}
	if err := t.changes.Add(e); err != nil {
		return s.holdOn(ctx, s.ofTable(t, err))
	}
	if (s.tick.big || !s.live(t)) && t.changes.Bytes() > pieceBytes {
		return s.holdOn(ctx, s.ofTable(t, s.flush(ctx, t)))
	}
	return nil
}

// find returns the table of a relation, or nil where it is not configured.
func (s *session) find(ctx context.Context, r *cdc.Relation) (*table, error) {
	name := r.FullName()
	if t := s.bySlot[name]; t != nil {
		return t, nil
	}
	if t := s.leaves[name]; t != nil || s.ignored[name] {
		return t, nil
	}
	t, err := s.leafOf(ctx, r)
	if t == nil && err == nil {
		s.ignored[name] = true
		s.log.Info().Str("table", name).Msg("published, but not configured: ignored")
	}
	return t, err
}

// wants reports whether an event concerns the state of a table: not before its load, whose snapshot holds it.
func (s *session) wants(t *table, e *cdc.Event) bool {
	if t.load != nil {
		return t.load.journals(e)
	}
	return s.live(t)
}

func (s *session) collected() (n int) {
	for _, t := range s.tables {
		n += t.changes.Bytes()
	}
	return n
}

func (s *session) flush(ctx context.Context, t *table) (err error) {
	if t.changes.Empty() {
		return nil
	}
	t.pending, err = t.window.Flush(ctx, t.changes, t.pending)
	return err
}
