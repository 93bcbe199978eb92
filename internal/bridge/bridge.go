package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/block"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/failpoint"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/rtwindow"
	"github.com/tidemark-db/tidemark/splitdate"
)

// Options of a Bridge beyond its configuration.
type Options struct {
	CheckInvariants bool // evaluate the invariants in SQL after every mark, and stop when one is broken
	Debug           bool // leave our statements in ClickHouse's query_log
	Standby         bool // wait while another bridge holds the slot, and take over when it is gone
	Hook            failpoint.Hook
	NoLoads         bool                  // leave tables that no mark holds alone
	Blind           bool                  // marks are made without a look at the catalogue, to see what that look is for
	Slices          uint64                // in which a table's changes are applied at the least
	PiecePages      int64                 // of a load, in pages of PostgreSQL; 0: by the size of the table
	Reloads         <-chan *config.Config // each ends the session; the next one works with it
	Build           observe.Build         // of this binary, for the metrics
}

// Bridge streams a publication into ClickHouse.
type Bridge struct {
	current atomic.Pointer[config.Config]
	log     zerolog.Logger
	opts    Options
	jobs    chan job
	stopped chan struct{} // closed when Run has ended
	seen    *observe.Observer
	opened  chan struct{} // PostgreSQL is to be looked at now; buffered
	looks   chan look     // what it said of partitions last; buffered
}

// New returns a bridge; Run does the work.
func New(cfg *config.Config, log zerolog.Logger, opts Options) *Bridge {
	b := &Bridge{log: log, opts: opts, jobs: make(chan job), stopped: make(chan struct{}), seen: observe.New(opts.Build), opened: make(chan struct{}, 1), looks: make(chan look, 1)}
	b.seen.Kinds(ErrorKinds())
	b.current.Store(cfg)
	return b
}

// config is the configuration now; a reload replaces it.
func (b *Bridge) config() *config.Config { return b.current.Load() }

// job is something that a command asks of the running bridge.
type job struct {
	kind    jobKind
	request Request
	reply   chan<- jobResult // buffered
}

type jobKind string

const (
	jobRoll   jobKind = "roll"
	jobResync jobKind = "resync"
	jobVerify jobKind = "verify"
)

// Request says what a job is about.
type Request struct {
	Table      string     `json:"table,omitempty"` // schema.table, or a bare name that is unique; empty: every table
	From       *time.Time `json:"from,omitempty"`  // of the rows' dates, half open; nil: no bound
	To         *time.Time `json:"to,omitempty"`
	FromSource bool       `json:"from_source,omitempty"` // resync: read the rows from PostgreSQL again
}

func (r Request) dates() splitdate.Range {
	out := splitdate.Everything
	if r.From != nil {
		out.From = splitdate.InstantOf(*r.From)
	}
	if r.To != nil {
		out.To = splitdate.InstantOf(*r.To)
	}
	return out
}

// jobResult is what a job did; which list it is depends on the kind.
type jobResult struct {
	rolled []Rolled
	folded []Folded
	reread []Reread
	err    error
}

// untilSteady does a job again whenever the source's tables changed before it was done.
func untilSteady(do func() (jobResult, error)) (jobResult, error) {
	for {
		if r, err := do(); !errors.Is(err, errRenewed) {
			return r, err
		}
	}
}

// do asks the running bridge and waits for the answer.
func (b *Bridge) do(ctx context.Context, kind jobKind, request Request) (jobResult, error) {
	return untilSteady(func() (jobResult, error) { return b.ask(ctx, kind, request) })
}

func (b *Bridge) ask(ctx context.Context, kind jobKind, request Request) (jobResult, error) {
	reply := make(chan jobResult, 1)
	select {
	case b.jobs <- job{kind: kind, request: request, reply: reply}:
	case <-b.stopped:
		return jobResult{}, fmt.Errorf("ask for a %s: %w", kind, errInterrupted)
	case <-ctx.Done():
		return jobResult{}, fmt.Errorf("ask for a %s: %w", kind, ctx.Err())
	}
	select {
	case r := <-reply:
		return r, r.err
	case <-ctx.Done():
		return jobResult{}, fmt.Errorf("await the %s: %w", kind, ctx.Err())
	}
}

// Roll asks the running bridge to roll, and returns what it moved.
func (b *Bridge) Roll(ctx context.Context) ([]Rolled, error) {
	r, err := b.do(ctx, jobRoll, Request{})
	return r.rolled, err
}

// Resync asks the running bridge to fold tables, and returns what it folded once that is published.
func (b *Bridge) Resync(ctx context.Context, request Request) ([]Folded, error) {
	request.FromSource = false
	r, err := b.do(ctx, jobResync, request)
	return r.folded, err
}

// Reload asks the running bridge to read rows from PostgreSQL again, and returns what it read once that is published.
func (b *Bridge) Reload(ctx context.Context, request Request) ([]Reread, error) {
	request.FromSource = true
	r, err := b.do(ctx, jobResync, request)
	return r.reread, err
}

// Verify asks the running bridge to compare rows with PostgreSQL, and returns what it found.
func (b *Bridge) Verify(ctx context.Context, request Request) ([]Reread, error) {
	r, err := b.do(ctx, jobVerify, request)
	return r.reread, err
}

// Between two attempts to get back to work.
const (
	firstBackoff = 500 * time.Millisecond
	lastBackoff  = 15 * time.Second
	awayBackoff  = 2 * time.Second // the last one while a server is away: asking costs nobody anything, unless it has no room
)

// maxFutile is how many sessions in a row may fail without a new position, for a reason that is not a server being out
// of reach, before Run gives up.
const maxFutile = 5

// Run works until ctx ends, which returns nil, or until something fails that will not pass. The first start returns
// every error, but that of a standby waits for what is out of reach: the walsender of the bridge that it follows may need longer
// to end than a start is patient for. After that, what may pass is tried again.
func (b *Bridge) Run(ctx context.Context) error {
	defer close(b.stopped)
	stopHTTP, err := b.serve(ctx)
	if err != nil {
		return err
	}
	defer stopHTTP()
	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { // ends with watching, awaited below
		defer close(watched)
		b.watchSource(watching)
	}()
	defer func() { stopWatching(); <-watched }()
	backoff, worked, waiting, failed, futile := firstBackoff, false, false, false, 0
	for {
		r := b.session(ctx, failed)
		worked = worked || r.started
		if r.err != nil && ctx.Err() == nil && !errors.Is(r.err, errRenewed) {
			b.seen.Failed(kindOf(r.err), r.err)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case r.reloaded, errors.Is(r.err, errRenewed):
			failed = false
			continue
		case b.opts.Standby && errors.Is(r.err, splitdate.ErrFenced):
			b.log.Warn().Err(r.err).Msg("overtaken")
		case final(r.err) || !worked && !(b.opts.Standby && outOfReach(r.err)):
			return r.err
		case r.advanced:
			backoff, futile = firstBackoff, 0
		case !outOfReach(r.err):
			futile++
		}
		if futile >= maxFutile {
			return fmt.Errorf("no progress in %d attempts: %w", futile, r.err)
		}
		if !worked && !waiting {
			waiting = true
			b.log.Warn().Err(r.err).Str("kind", kindOf(r.err)).Msg("cannot take over yet; trying again")
		}
		if r.started && !r.recovering {
			b.log.Error().Err(r.err).Str("kind", kindOf(r.err)).Msg("interrupted; going on from the newest mark as soon as both servers answer")
		}
		failed = worked
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		if backoff = min(2*backoff, lastBackoff); outOfReach(r.err) && !warehouse.IsStrained(r.err) {
			backoff = min(backoff, awayBackoff)
		}
	}
}

// final says that trying again cannot help: somebody has to decide something.
func final(err error) bool {
	var bad *block.ValueError
	if errors.As(err, &bad) {
		return true
	}
	for _, e := range []error{
		splitdate.ErrFenced, splitdate.ErrInvariant, rtwindow.ErrGap, errRefused,
		cdc.ErrNoSlot, cdc.ErrSlotLost, cdc.ErrSlotAhead, cdc.ErrNoPublication,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// outOfReach says that a server is away, or that another session has what this one needs: there is no limit to how often
// that may be while the bridge works.
func outOfReach(err error) bool {
	return away(err) || isLocked(err) || errors.Is(err, cdc.ErrLocked) || errors.Is(err, cdc.ErrSlotInUse)
}

// away says that a server cannot be reached, went away, or has no room.
func away(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, cdc.ErrSilent) || errors.Is(err, cdc.ErrLockLost) || isShutdown(err) ||
		errors.Is(err, warehouse.ErrSilent) || warehouse.IsStrained(err)
}

// isLocked says that a statement waited in vain for the lock on a table (SQLSTATE 55P03): an ALTER TABLE may hold it for hours.
func isLocked(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55P03"
}

// isShutdown says that PostgreSQL is starting or stopping, or has no connection to spare (SQLSTATE classes 08, 53 and 57P).
func isShutdown(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "08"))
}

// errRefused marks errors of a start that only a person can resolve.
var errRefused = errors.New("refused")

// outcome is how a session went.
type outcome struct {
	started    bool // it got to work
	advanced   bool // it published a new position
	recovering bool // it followed a failed one and did no better
	reloaded   bool // a new configuration ended it
	err        error
}

// session prepares and runs one session; recovering says that the last one failed.
func (b *Bridge) session(ctx context.Context, recovering bool) outcome {
	s, err := b.open(ctx)
	if err != nil {
		return outcome{err: err}
	}
	defer s.close()
	s.recovering, s.began.at, s.began.lsn = recovering, time.Now(), s.mark.LSN
	b.seen.Began(s.observed(), s.mark, s.cfg.Tick)
	b.lookSoon()
	defer b.seen.Ended()
	next, err := b.runUntilReload(ctx, s)
	out := outcome{started: true, advanced: s.mark.LSN > s.began.lsn, recovering: s.recovering, err: err}
	if next != nil {
		b.current.Store(next)
		out.reloaded = true
	}
	return out
}

// runUntilReload returns the new configuration that ended the session, if one did.
func (b *Bridge) runUntilReload(ctx context.Context, s *session) (*config.Config, error) {
	ctx, cancel := context.WithCancel(ctx)
	reloaded := make(chan *config.Config, 1)
	go func() { // ends with ctx, which is ended below; awaited by the read of reloaded
		defer close(reloaded)
		if cfg := b.acceptable(ctx); cfg != nil {
			reloaded <- cfg
			cancel()
		}
	}()
	err := s.guarded(ctx, s.run)
	cancel()
	return <-reloaded, err
}

// acceptable returns the next configuration that both servers accept, nil when ctx ended. Others are refused whole, and the
// session goes on with its own.
func (b *Bridge) acceptable(ctx context.Context) *config.Config {
	for {
		select {
		case cfg := <-b.opts.Reloads:
			_, err := aggregatePlans(ctx, cfg)
			if err == nil || ctx.Err() != nil || outOfReach(err) {
				if cfg.HTTP != b.config().HTTP {
					b.log.Warn().Str("try", "restart tidemark").Msg("http.* has changed, which takes effect at the next start")
				}
				return cfg // a server that is out of reach says nothing about the configuration
			}
			b.log.Error().Err(err).Str("try", fault.Try(err)).Msg("configuration refused, the old one stays")
		case <-ctx.Done():
			return nil
		}
	}
}
