package cdc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// ErrRewritten says that a table was truncated or rewritten after the barrier, and the old snapshot would see too little; or
// that its columns are others than those to be copied. A new barrier, or a new look at the catalogue, helps.
var ErrRewritten = errors.New("table was changed since the barrier")

const (
	rangePages    = 2048 // of one COPY: 16 MiB, so that workers end together and progress is smooth
	minRangePages = 16   // of a file, however many partitions there are
	runRows       = 4096 // handed to the sink at once, at most
	runBytes      = 256 << 10
)

// CopyOptions say what to copy and how fast.
type CopyOptions struct {
	Table         Table
	Columns       []string // nil: all of Table.Columns
	Between       *Between // nil: all rows
	Pages         *Pages   // nil: all pages
	Workers       int      // 1 if less
	RowsPerSecond int      // of all workers together; 0: no limit
	Binary        bool     // values come in PostgreSQL's binary format
	// Progress is told how many rows have been delivered, of about total (-1: unknown). Calls do not overlap.
	Progress func(rows, total int64)
}

// Between selects the rows whose date lies in a half-open range, and at will those without a date.
type Between struct {
	Column   string
	From, To string // as PostgreSQL reads the column's type; "" for no bound
	Nulls    bool
	Indexed  bool // PostgreSQL finds the range by an index: one statement reads it
}

// condition renders the range as SQL.
func (b *Between) condition() string {
	column := quoteName(b.Column)
	parts := []string{column + " IS NOT NULL"}
	if b.From != "" {
		parts = append(parts, column+" >= "+quoteLiteral(b.From))
	}
	if b.To != "" {
		parts = append(parts, column+" < "+quoteLiteral(b.To))
	}
	in := strings.Join(parts, " AND ")
	if b.Nulls {
		in = "(" + in + " OR " + column + " IS NULL)"
	}
	return in
}

// Pages selects rows by the pages of the table's files that they lie in, from First up to, not including, End. Pages of
// other files than the named ones are not taken for them: that is ErrRewritten.
type Pages struct {
	Files      string
	First, End int64
}

// Sink takes a run of rows from one worker, numbered from 0. The rows are valid until it returns. Calls of different
// workers overlap.
type Sink func(ctx context.Context, worker int, rows []Tuple) error

// Copy reads a table as it was at the barrier. Every worker imports the snapshot before the first row is read, so the
// barrier may be closed once the sink has been called. Rows come in no order.
func (b *Barrier) Copy(ctx context.Context, opts CopyOptions, sink Sink) error {
	c := &tableCopy{CopyOptions: opts, sink: sink, pace: pace{perSecond: opts.RowsPerSecond}}
	if c.Columns == nil {
		c.Columns = opts.Table.ColumnNames()
	}
	if err := c.run(ctx, b); err != nil {
		return fmt.Errorf("copy %s: %w", opts.Table.FullName(), err)
	}
	return nil
}

// tableCopy is one Copy under way.
type tableCopy struct {
	CopyOptions
	sink Sink
	pace pace

	mu        sync.Mutex // guards the rest
	ranges    []pageRange
	delivered int64
}

// pageRange is a piece of a table: its pages from first up to, not including, end. Of a partitioned table it is these
// pages of every partition, which takes no right on the partitions themselves. The zero range is the whole table.
type pageRange struct{ first, end int64 }

func (c *tableCopy) run(ctx context.Context, b *Barrier) error {
	sessions, err := b.importSnapshot(ctx, max(c.Workers, 1))
	if err != nil {
		return err
	}
	defer func() {
		for _, conn := range sessions {
			closeConn(ctx, conn)
		}
	}()
	// The first session's lock keeps the table's files as they are until all workers are through.
	if c.ranges, err = c.lockRanges(ctx, sessions[0]); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for worker, conn := range sessions {
		group.Go(func() error { return c.work(ctx, worker, conn) })
	}
	return group.Wait()
}

// importSnapshot opens n sessions whose transactions see the barrier's snapshot.
func (b *Barrier) importSnapshot(ctx context.Context, n int) (sessions []*pgx.Conn, err error) {
	defer func() {
		if err != nil {
			for _, conn := range sessions {
				closeConn(ctx, conn)
			}
		}
	}()
	for range n {
		conn, err := Connect(ctx, b.cfg)
		if err != nil {
			return sessions, err
		}
		sessions = append(sessions, conn)
		_, err = conn.PgConn().Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT "+
			quoteLiteral(b.Snapshot)).ReadAll()
		if err != nil {
			return sessions, fmt.Errorf("import snapshot %s: %w", b.Snapshot, err)
		}
	}
	return sessions, nil
}

// lockRanges locks the table and its partitions against rewriting and cuts them into ranges.
func (c *tableCopy) lockRanges(ctx context.Context, conn *pgx.Conn) ([]pageRange, error) {
	// Unlike LOCK TABLE this is content with the right to read these columns.
	rows, err := conn.Query(ctx, c.selection()+" LIMIT 0")
	if err == nil {
		rows.Close()
		err = rows.Err()
	}
	if err != nil {
		return nil, lockFault(err)
	}
	if c.Binary {
		if err := c.checkTypes(rows.FieldDescriptions()); err != nil {
			return nil, err
		}
	}
	files, err := c.readFiles(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("read table size: %w", err)
	}
	var whole bool // ctid is not among the columns that a role can be granted one by one
	if err := conn.QueryRow(ctx, "SELECT NOT has_table_privilege($1::oid, 'SELECT')", c.Table.OID).Scan(&whole); err != nil {
		return nil, fmt.Errorf("read table privileges: %w", err)
	}
	if whole || c.Between != nil && c.Between.Indexed {
		return []pageRange{{}}, nil
	}
	if c.Pages != nil {
		if files.names != c.Pages.Files {
			return nil, fault.New("try again from the beginning", "%w: its files are others", ErrRewritten)
		}
		return cut(files.pages, c.Pages.First, min(c.Pages.End, files.longest())), nil
	}
	return cut(files.pages, 0, files.longest()), nil
}

// checkTypes makes sure that the columns still have the types that they are known by: bytes do not tell what they are bytes of, as
// a text mostly does. PostgreSQL describes a domain as its base type.
func (c *tableCopy) checkTypes(fields []pgconn.FieldDescription) error {
	for i, name := range c.Columns {
		at := slices.IndexFunc(c.Table.Columns, func(known Column) bool { return known.Name == name })
		if at < 0 || c.Table.Columns[at].BaseTypeOID != fields[i].DataTypeOID {
			return fault.New("try again", "%w: column %s has another type", ErrRewritten, name)
		}
	}
	return nil
}

// files are those of a table or of its partitions.
type files struct {
	names string  // in order, of one moment
	pages []int64 // of each
}

func (f files) longest() int64 {
	if len(f.pages) == 0 {
		return 0
	}
	return slices.Max(f.pages)
}

// readFiles returns the files that the snapshot knows.
func (c *tableCopy) readFiles(ctx context.Context, conn *pgx.Conn) (f files, err error) {
	rows, err := conn.Query(ctx, query("copy_files"), c.Table.OID)
	if err != nil {
		return f, err
	}
	var name, node string
	var pages int64
	var same bool
	var nodes []string
	_, err = pgx.ForEachRow(rows, []any{&name, &pages, &same, &node}, func() error {
		if !same {
			return fault.New("try again: a new barrier sees the new file", "%w: %s", ErrRewritten, name)
		}
		f.pages = append(f.pages, pages)
		nodes = append(nodes, node)
		return nil
	})
	slices.Sort(nodes)
	f.names = strings.Join(nodes, " ")
	return f, err
}

// Files returns what Pages needs of a table as it is now: the names of its files, and how many pages the longest one has.
// It returns no name where the rows cannot be told apart by their pages.
func (b *Barrier) Files(ctx context.Context, t Table) (names string, end int64, err error) {
	sessions, err := b.importSnapshot(ctx, 1)
	if err != nil {
		return "", 0, err
	}
	defer closeConn(ctx, sessions[0])
	c := &tableCopy{CopyOptions: CopyOptions{Table: t, Columns: t.ColumnNames()}}
	ranges, err := c.lockRanges(ctx, sessions[0])
	if err != nil || len(ranges) == 1 && ranges[0] == (pageRange{}) {
		return "", 0, err
	}
	f, err := c.readFiles(ctx, sessions[0])
	if err != nil {
		return "", 0, fmt.Errorf("read files of %s: %w", t.FullName(), err)
	}
	return f.names, f.longest(), nil
}

func lockFault(err error) error {
	switch sqlState(err) {
	case "42703", "42P01": // undefined column, or table
		return fault.New("try again", "%w: %w", ErrRewritten, err)
	case "55P03":
		return fault.New("end the session that holds the table in ACCESS EXCLUSIVE mode, then try again", "lock table: %w", err)
	}
	return fmt.Errorf("lock table: %w", err)
}

// cut returns ranges of about rangePages each, from a page up to another one, over files of these lengths laid side by
// side. Pages that are added later hold nothing that the snapshot sees.
func cut(files []int64, first, last int64) []pageRange {
	var ranges []pageRange
	for first < last {
		reached := int64(0)
		for _, pages := range files {
			if pages > first {
				reached++
			}
		}
		end := min(first+max(rangePages/max(reached, 1), minRangePages), last)
		ranges = append(ranges, pageRange{first, end})
		first = end
	}
	return ranges
}

// only keeps a plain table's inheritance children out, which are tables of the publication themselves.
func only(partitioned bool) string {
	if partitioned {
		return ""
	}
	return "ONLY "
}

func (c *tableCopy) next() (pageRange, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ranges) == 0 {
		return pageRange{}, false
	}
	r := c.ranges[0]
	c.ranges = c.ranges[1:]
	return r, true
}

// work copies ranges until none is left.
func (c *tableCopy) work(ctx context.Context, worker int, conn *pgx.Conn) error {
	w := &copyWriter{ctx: ctx, copy: c, worker: worker}
	for {
		r, ok := c.next()
		if !ok {
			return nil
		}
		w.begun = false
		if _, err := conn.PgConn().CopyTo(ctx, w, c.statement(r)); err != nil {
			return fmt.Errorf("pages %d to %d: %w", r.first, r.end, err)
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
}

// selection is the query of what is copied, without a condition.
func (c *tableCopy) selection() string {
	return "SELECT " + quoteNames(c.Columns) + " FROM " + only(c.Table.Partitioned) + quoteName(c.Table.Schema, c.Table.Name)
}

func (c *tableCopy) statement(r pageRange) string {
	where := "true"
	if r != (pageRange{}) {
		where = fmt.Sprintf("ctid >= '(%d,0)'::tid AND ctid < '(%d,0)'::tid", r.first, r.end)
	}
	if c.Between != nil {
		where += " AND " + c.Between.condition()
	}
	if c.Table.RowFilter != "" {
		where += " AND (" + c.Table.RowFilter + ")"
	}
	format := "text"
	if c.Binary {
		format = "binary"
	}
	return "COPY (" + c.selection() + " WHERE " + where + ") TO STDOUT (FORMAT " + format + ")"
}

// deliver hands rows to the sink, at the set pace.
func (c *tableCopy) deliver(ctx context.Context, worker int, rows []Tuple) error {
	if err := c.pace.wait(ctx, len(rows)); err != nil {
		return err
	}
	if err := c.sink(ctx, worker, rows); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delivered += int64(len(rows))
	if c.Progress != nil {
		c.Progress(c.delivered, c.Table.EstimatedRows)
	}
	return nil
}

// copyWriter collects the rows of one worker. PostgreSQL sends one row per message, so each Write is one. The memory of the
// rows of one run is that of the next.
type copyWriter struct {
	ctx    context.Context // of the Copy; io.Writer has no place for it
	copy   *tableCopy
	worker int
	rows   []Tuple
	values []Value // of the rows
	text   []byte  // of the values; what an append leaves behind, earlier values still hold
	begun  bool    // the header of the binary format has come
}

func (w *copyWriter) Write(message []byte) (int, error) {
	decode := w.line
	if w.copy.Binary {
		decode = w.binary
	}
	if err := decode(message); err != nil {
		return 0, err
	}
	if len(w.rows) >= runRows || len(w.text) >= runBytes {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	return len(message), nil
}

// line takes a row of the text format.
func (w *copyWriter) line(line []byte) error {
	if len(line) == 0 || line[len(line)-1] != '\n' {
		return errTruncated
	}
	return decodeCopyLine(w.tuple(), w.own(line[:len(line)-1]))
}

// binary takes a row of the binary format. The header comes in front of the first one, or of the end.
func (w *copyWriter) binary(message []byte) error {
	if !w.begun {
		var err error
		if message, err = cutCopyHeader(message); err != nil {
			return err
		}
		w.begun = true
	}
	if len(message) == 0 || bytes.Equal(message, copyTrailer) {
		return nil
	}
	return decodeCopyRow(w.tuple(), w.own(message))
}

// tuple returns the values of one row more.
func (w *copyWriter) tuple() Tuple {
	n := len(w.values)
	w.values = slices.Grow(w.values, len(w.copy.Columns))[:n+len(w.copy.Columns)]
	w.rows = append(w.rows, w.values[n:len(w.values):len(w.values)])
	return w.rows[len(w.rows)-1]
}

// own returns a copy of a line.
func (w *copyWriter) own(line []byte) []byte {
	n := len(w.text)
	w.text = append(w.text, line...)
	return w.text[n:len(w.text):len(w.text)]
}

func (w *copyWriter) flush() error {
	if len(w.rows) == 0 {
		return nil
	}
	err := w.copy.deliver(w.ctx, w.worker, w.rows)
	w.rows, w.values, w.text = w.rows[:0], w.values[:0], w.text[:0]
	if cap(w.text) > 4*runBytes { // of a large value
		w.text = nil
	}
	return err
}

// pace spreads rows over time.
type pace struct {
	perSecond int
	mu        sync.Mutex
	free      time.Time // when the rows let through so far are paid for
}

// wait returns when n more rows may go.
func (p *pace) wait(ctx context.Context, n int) error {
	if p.perSecond <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(p.book(n))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// book takes the time of n rows and returns how long to wait for those before them.
func (p *pace) book(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	wait := p.free.Sub(now)
	p.free = p.free.Add(time.Duration(n) * time.Second / time.Duration(p.perSecond))
	return wait
}
