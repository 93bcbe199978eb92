// Package warehouse is the one way to ClickHouse: every statement of the bridge passes through a Conn, which gives it
// the settings that the protocol needs, a query id that carries the writer's term, its parameters, and, where it changes
// state, the failpoint of its name. It owns no statement and no state.
package warehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tidemark-db/tidemark/internal/failpoint"
	"github.com/tidemark-db/tidemark/sql"
)

// MinVersion is the oldest ClickHouse that the protocol was tested on.
var MinVersion = Version{26, 7}

// Options of a connection.
type Options struct {
	DSN    string
	Debug  bool // leave our statements in system.query_log
	Reader bool // plain settings, as a BI tool would connect
	Hook   failpoint.Hook
}

// Conn is a pool of connections to one ClickHouse server. It is safe for concurrent use.
type Conn struct {
	driver   driver.Conn
	database string
	hook     failpoint.Hook
	term     atomic.Uint64
	serial   atomic.Uint64
	sockets  sockets
}

// Open parses the DSN and prepares a pool; it connects when first used.
func Open(o Options) (*Conn, error) {
	opts, err := clickhouse.ParseDSN(o.DSN)
	if err != nil {
		return nil, fmt.Errorf("parse ClickHouse DSN: %w", err)
	}
	c := &Conn{database: opts.Auth.Database, hook: o.Hook}
	if c.database == "" {
		c.database = "default"
	}
	// The database may not exist yet; every name in our statements is qualified.
	opts.Auth.Database = ""
	opts.MaxOpenConns, opts.MaxIdleConns = 16, 16
	opts.DialTimeout = dialTimeout
	opts.ReadTimeout = time.Hour // a statement may take long; Watch sees that the server is there
	opts.DialContext = c.sockets.dial(opts.TLS)
	if opts.Settings == nil {
		opts.Settings = clickhouse.Settings{}
	}
	if !o.Reader {
		writerSettings(opts.Settings, o.Debug)
	}
	c.driver, err = clickhouse.Open(opts)
	if err != nil {
		return nil, fmt.Errorf("open ClickHouse: %w", err)
	}
	return c, nil
}

// writerSettings pins what our statements depend on against the profile of the user and new defaults.
func writerSettings(s clickhouse.Settings, debug bool) {
	s["async_insert"] = 0
	s["insert_deduplicate"] = 0
	s["max_partitions_per_insert_block"] = 0
	s["allow_replace_partition_from_empty_source"] = 1 // how partitions are dropped: sql.Table.DropPartitions
	s["join_use_nulls"] = 0
	s["transform_null_in"] = 0
	s["use_partition_pruning"] = 1
	s["session_timezone"] = "UTC"
	s["output_format_json_quote_64bit_integers"] = 0
	s["output_format_json_named_tuples_as_objects"] = 1
	s["date_time_output_format"] = "simple"
	s["max_execution_time"] = 0
	s["max_result_rows"] = 0
	s["limit"] = 0
	s["offset"] = 0
	if !debug {
		s["log_queries"] = 0
	}
}

// Database is the name of the database in the DSN, where the views lie.
func (c *Conn) Database() sql.Database { return sql.Database(c.database) }

// QueryPrefix begins the query id of every statement of every writer of this database, and of no other's: the name is quoted.
func (c *Conn) QueryPrefix() string { return "tidemark-" + sql.Ident(c.database) + "-" }

// readPrefix begins those of connections without a term, which only read: a new writer leaves them alone.
const readPrefix = "tidemark_read-"

// TermPrefix begins the query id of every statement of this connection's term.
func (c *Conn) TermPrefix() string {
	return c.QueryPrefix() + strconv.FormatUint(c.term.Load(), 10) + "-"
}

// SetTerm makes the following statements carry the term.
func (c *Conn) SetTerm(term uint64) { c.term.Store(term) }

// Close closes the pool.
func (c *Conn) Close() error { return c.driver.Close() }

// Ping connects if need be.
func (c *Conn) Ping(ctx context.Context) error { return c.driver.Ping(ctx) }

// Driver gives the plain connection to tests and to the demo, which query as users do.
func (c *Conn) Driver() driver.Conn { return c.driver }

// Params are the parameters of a statement, by name, in ClickHouse's text form.
type Params map[string]string

// U64 renders a UInt64 parameter.
func U64[T ~uint64](v T) string { return strconv.FormatUint(uint64(v), 10) }

// I64 renders an Int64 parameter.
func I64[T ~int64](v T) string { return strconv.FormatInt(int64(v), 10) }

// Array renders an Array(UInt64) parameter.
func Array[T ~uint64](items []T) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, v := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(uint64(v), 10))
	}
	b.WriteByte(']')
	return b.String()
}

// Texts renders an Array(String) parameter.
func Texts(items []string) string {
	quoted := make([]string, len(items))
	for i, v := range items {
		quoted[i] = sql.Literal(v)
	}
	return "[" + strings.Join(quoted, ",") + "]"
}

// OnProgress returns a context whose statements report the rows that the server has read since the last report.
func OnProgress(ctx context.Context, report func(rows int64)) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithProgress(func(p *clickhouse.Progress) { report(int64(p.Rows)) }))
}

func (c *Conn) context(ctx context.Context, p Params) context.Context {
	prefix := c.TermPrefix()
	if c.term.Load() == 0 {
		prefix = readPrefix
	}
	id := prefix + strconv.FormatUint(c.serial.Add(1), 10) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	opts := []clickhouse.QueryOption{clickhouse.WithQueryID(id)}
	if len(p) > 0 {
		opts = append(opts, clickhouse.WithParameters(clickhouse.Parameters(p)))
	}
	return clickhouse.Context(ctx, opts...)
}

// Exec runs a statement that changes state.
func (c *Conn) Exec(ctx context.Context, s sql.Statement, p Params) error {
	return c.hook.Around(ctx, s.Name, func() error { return c.driver.Exec(c.context(ctx, p), s.Text) })
}

// Rows is a row of an answer.
type Rows interface{ Scan(dest ...any) error }

// errChanges is a fault of ours: a change of state that is not a failpoint.
var errChanges = errors.New("the statement changes state, so it has to go through Exec or Insert")

// Query runs a statement that changes nothing and calls scan for every row. It refuses any other.
func (c *Conn) Query(ctx context.Context, s sql.Statement, p Params, scan func(Rows) error) error {
	if s.Changes() {
		return fmt.Errorf("%s: %w", s.Name, errChanges)
	}
	rows, err := c.driver.Query(c.context(ctx, p), s.Text)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}

// Insert sends one block of columns. fill appends to the batch's columns, which are those that s names.
func (c *Conn) Insert(ctx context.Context, s sql.Statement, fill func(driver.Batch) error) error {
	return c.hook.Around(ctx, s.Name, func() error {
		batch, err := c.driver.PrepareBatch(c.context(ctx, nil), s.Text)
		if err != nil {
			return err
		}
		defer batch.Close()
		if err := fill(batch); err != nil {
			return err
		}
		return batch.Send()
	})
}

// thrownCode is ClickHouse's FUNCTION_THROW_IF_VALUE_IS_NON_ZERO.
const thrownCode = 395

// Thrown reports whether a throwIf of a view ended a query.
func Thrown(err error) bool {
	var exception *clickhouse.Exception
	return errors.As(err, &exception) && exception.Code == thrownCode
}

// Version is a server's version, without what follows the minor number.
type Version [2]int

// Less compares versions.
func (v Version) Less(w Version) bool { return slices.Compare(v[:], w[:]) < 0 }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v[0], v[1]) }

// ServerVersion asks the server for its version.
func (c *Conn) ServerVersion(ctx context.Context) (Version, error) {
	v, err := c.driver.ServerVersion()
	if err != nil {
		return Version{}, fmt.Errorf("read server version: %w", err)
	}
	return Version{int(v.Version.Major), int(v.Version.Minor)}, nil
}

// ScalarReads runs a query and returns how many scalar subqueries ClickHouse evaluated for it, not counting those it
// found in the query's own cache.
func (c *Conn) ScalarReads(ctx context.Context, s sql.Statement) (int64, error) {
	if s.Changes() {
		return 0, fmt.Errorf("%s: %w", s.Name, errChanges)
	}
	var mu sync.Mutex
	var reads int64
	ctx = clickhouse.Context(c.context(ctx, nil), clickhouse.WithProfileEvents(func(events []clickhouse.ProfileEvent) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events {
			if e.Name == "ScalarSubqueriesCacheMiss" {
				reads += e.Value
			}
		}
	}))
	rows, err := c.driver.Query(ctx, s.Text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.Name, err)
	}
	for rows.Next() { //nolint:revive // only the counters matter
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return 0, fmt.Errorf("%s: %w", s.Name, err)
	}
	mu.Lock()
	defer mu.Unlock()
	return reads, nil
}
