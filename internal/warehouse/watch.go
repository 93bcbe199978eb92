package warehouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// ErrSilent says that ClickHouse did not answer although its connections are open: it is stopped, or the network is.
var ErrSilent = errors.New("ClickHouse is silent")

const (
	dialTimeout = 10 * time.Second
	// watchEvery is the time between two questions whether the server is there, silence how long it may take to answer.
	watchEvery = 5 * time.Second
	silence    = 30 * time.Second
)

// Watch asks the server from time to time whether it is there, beside the statements under way, which may take as long as
// they need. It returns nil when ctx ends, ErrSilent when there was no answer for too long: on a connection that is open, or
// to the greeting on a new one, which gives up sooner than that. That all connections are taken says nothing.
func (c *Conn) Watch(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	asked := time.Time{} // when the first question was asked of those that have no answer
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if asked.IsZero() {
			asked = time.Now()
		}
		bounded, cancel := context.WithTimeout(ctx, silence)
		err := c.driver.Ping(bounded)
		cancel()
		if err == nil || errors.Is(err, clickhouse.ErrAcquireConnTimeout) {
			asked = time.Time{}
		}
		if !asked.IsZero() && time.Since(asked) >= silence && ctx.Err() == nil {
			return fmt.Errorf("%w: no answer within %v", ErrSilent, silence)
		}
	}
}

// strained are ClickHouse's codes of errors that pass when somebody makes room, or when it has less to do.
var strained = []int32{
	75,   // CANNOT_WRITE_TO_FILE_DESCRIPTOR
	76,   // CANNOT_OPEN_FILE
	202,  // TOO_MANY_SIMULTANEOUS_QUERIES
	241,  // MEMORY_LIMIT_EXCEEDED
	243,  // NOT_ENOUGH_SPACE
	252,  // TOO_MANY_PARTS
	1001, // STD_EXCEPTION: the file system's own errors
}

// IsStrained reports whether ClickHouse had no room for a statement: no disk, no memory, too many parts or queries.
func IsStrained(err error) bool {
	var e *clickhouse.Exception
	return errors.As(err, &e) && slices.Contains(strained, e.Code)
}

// accessDenied is ClickHouse's code of a right that the user lacks.
const accessDenied = 497

// IsDenied reports whether ClickHouse refused a statement because the user lacks a right.
func IsDenied(err error) bool {
	var e *clickhouse.Exception
	return errors.As(err, &e) && e.Code == accessDenied
}

// incompatibleColumns is ClickHouse's code for tables whose columns should be the same.
const incompatibleColumns = 122

// IsUnlike reports whether ClickHouse refused a statement because two tables have other columns.
func IsUnlike(err error) bool {
	var e *clickhouse.Exception
	return errors.As(err, &e) && e.Code == incompatibleColumns
}

// Abort breaks all connections off. It ends statements under way, also where the driver waits for a server that does not
// read; whether they were done is unknown.
func (c *Conn) Abort() { c.sockets.abort() }

// sockets are the open connections of a pool.
type sockets struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// dial returns a dialer that keeps the connections; tls is nil for plain ones.
func (s *sockets) dial(config *tls.Config) func(context.Context, string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: dialTimeout}
	dial := plain.DialContext
	if config != nil {
		dial = (&tls.Dialer{NetDialer: plain, Config: config}).DialContext
	}
	return func(ctx context.Context, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		conn, err := dial(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return s.keep(conn), nil
	}
}

func (s *sockets) keep(conn net.Conn) net.Conn {
	k := &socket{Conn: conn, of: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[net.Conn]struct{}{}
	}
	s.open[k] = struct{}{}
	return k
}

func (s *sockets) abort() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for conn := range open {
		_ = conn.Close()
	}
}

// socket takes itself out of the set when it is closed.
type socket struct {
	net.Conn
	of *sockets
}

// Close closes the connection.
func (s *socket) Close() error {
	s.of.mu.Lock()
	delete(s.of.open, s)
	s.of.mu.Unlock()
	return s.Conn.Close()
}
