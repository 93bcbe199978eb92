package cdc

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// ErrLocked is in the chain of AcquireLock's error when another session holds the lock.
var ErrLocked = errors.New("in use by another bridge")

// ErrLockLost says that the session that held the lock is gone.
var ErrLockLost = errors.New("the session that held the lock was lost")

// The holder's session is a lease: PostgreSQL ends it, and so gives the lock to the next, when the holder has not asked
// for lockLease. A bridge that is stopped or starved for that long has to begin anew.
const (
	lockPing  = 2 * time.Second
	lockLease = "10s"
)

// Lock is PostgreSQL's session advisory lock on the slot's name: of two bridges that name the same slot in the same
// database one works. It keeps honest bridges apart; a paused one is fenced by the term in the mark, not by this.
type Lock struct {
	cfg    Config
	mu     sync.Mutex // guards conn
	conn   *pgx.Conn
	lost   chan struct{}
	cancel context.CancelFunc
	ended  chan struct{}
}

// AcquireLock takes the lock or returns an error that wraps ErrLocked and names the holder. It does not wait.
func AcquireLock(ctx context.Context, cfg Config) (*Lock, error) {
	conn, err := Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := tryLock(ctx, conn, cfg); err != nil {
		closeConn(ctx, conn)
		return nil, err
	}
	watch, cancel := context.WithCancel(context.Background())
	l := &Lock{cfg: cfg, conn: conn, lost: make(chan struct{}), cancel: cancel, ended: make(chan struct{})}
	go l.watch(watch) // ends at Close or when the session is lost; Close waits for it
	return l, nil
}

func lockKey(slot string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("tidemark slot " + slot))
	return int64(h.Sum64())
}

func tryLock(ctx context.Context, conn *pgx.Conn, cfg Config) error {
	if _, err := conn.Exec(ctx, "SET idle_session_timeout = '"+lockLease+"'"); err != nil {
		return fmt.Errorf("set idle_session_timeout: %w", err)
	}
	key := lockKey(cfg.Slot)
	var got bool
	err := cfg.Hook.Around(ctx, "take_lock", func() error {
		return conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", key).Scan(&got)
	})
	if err != nil {
		return fmt.Errorf("take advisory lock: %w", err)
	}
	if got {
		return nil
	}
	holder, err := lockHolder(ctx, conn, key)
	if err != nil {
		return err
	}
	return fault.New("stop the other bridge, or start this one with --standby: it takes over when the other is gone",
		"slot %q: %w: %s", cfg.Slot, ErrLocked, holder)
}

func lockHolder(ctx context.Context, conn *pgx.Conn, key int64) (string, error) {
	var holder string
	err := conn.QueryRow(ctx, query("lock_holder"), key).Scan(&holder)
	if errors.Is(err, pgx.ErrNoRows) {
		return "a session that has just ended", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the lock's holder: %w", err)
	}
	return holder, nil
}

// FreeSlot ends the walsender of a bridge that has lost the lock and not let go of the slot yet, as one that is paused.
// Another program's it leaves alone.
func (l *Lock) FreeSlot(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var pid int32
	err := l.conn.QueryRow(ctx, query("slot_holder"), l.cfg.Slot, l.conn.Config().RuntimeParams["application_name"]).Scan(&pid)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the slot's holder: %w", err)
	}
	return terminate(ctx, l.cfg, l.conn, pid)
}

// watch asks the session every few seconds whether it is alive.
func (l *Lock) watch(ctx context.Context) {
	defer close(l.ended)
	ticker := time.NewTicker(lockPing)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := l.ping(ctx); err != nil && ctx.Err() == nil {
			close(l.lost)
			return
		}
	}
}

func (l *Lock) ping(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	return l.conn.Ping(ctx)
}

// Lost is closed within seconds of the session's end.
func (l *Lock) Lost() <-chan struct{} { return l.lost }

// Check asks the server now. An error that wraps ErrLockLost is final.
func (l *Lock) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("check lock: %w", err)
	}
	select {
	case <-l.lost:
		return ErrLockLost
	default:
	}
	// Not under ctx: cancelling a query would close the session and give up the lock.
	if err := l.ping(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("%w: %w", ErrLockLost, err)
	}
	return nil
}

// Close gives up the lock and ends its session. The next one to ask for the lock gets it at once, not when PostgreSQL has
// noticed that the session is gone.
func (l *Lock) Close() error {
	l.cancel()
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	err := l.cfg.Hook.Around(ctx, "release_lock", func() error {
		_, err := l.conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", lockKey(l.cfg.Slot))
		return err
	})
	select {
	case <-l.lost: // so there was none to give up
		err = nil
	default:
	}
	return errors.Join(err, l.conn.Close(ctx))
}
