package cdc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func (s *source) barrier() *Barrier {
	s.Helper()
	b, err := OpenBarrier(s.Context(), s.cfg)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(b.Close)
	return b
}

// collect copies a table and returns its rows, printed and sorted.
func (s *source) collect(b *Barrier, opts CopyOptions) []string {
	s.Helper()
	var mu sync.Mutex
	var rows []string
	err := b.Copy(s.Context(), opts, func(_ context.Context, _ int, run []Tuple) error {
		mu.Lock()
		defer mu.Unlock()
		for _, row := range run {
			rows = append(rows, showTuple(row))
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	slices.Sort(rows)
	return rows
}

func TestCopyValues(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY, a text, b bytea)", "CREATE PUBLICATION pub FOR TABLE t",
			`INSERT INTO t VALUES (1, E'tab\t nl\n cr\r bs\\ b\b f\f v\x0b \\N', '\x0001ff'), (2, NULL, NULL), (3, '', ''), (4, '\N', '\x'), (5, 'ünï', NULL)`)
		rows := s.collect(s.barrier(), CopyOptions{Table: s.table("public.t"), Workers: 3})
		s.equal("rows", strings.Join(rows, "\n"),
			"1|tab\t nl\n cr\r bs\\ b\b f\f v\v \\N|\\x0001ff\n2|-|-\n3||\\x\n4|\\N|\\x\n5|ünï|-")
	})
}

// The snapshot is that of the barrier, whatever happens afterwards, and workers share the rows.
func TestCopyAtBarrier(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY, a text)", "CREATE PUBLICATION pub FOR TABLE t",
			"INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 200000) i", "ANALYZE t")
		b := s.barrier()
		s.exec("DELETE FROM t WHERE id % 2 = 0", "INSERT INTO t VALUES (0)", "UPDATE t SET a = '' WHERE id = 1")
		var mu sync.Mutex
		seen := make([]bool, 200001)
		var told, total int64
		workers := map[int]int{}
		err := b.Copy(t.Context(), CopyOptions{
			Table: s.table("public.t"), Columns: []string{"a", "id"}, Workers: 2,
			Progress: func(rows, of int64) { told, total = rows, of },
		}, func(_ context.Context, worker int, rows []Tuple) error {
			mu.Lock()
			defer mu.Unlock()
			workers[worker] += len(rows)
			for _, row := range rows {
				var id int
				if _, err := fmt.Sscan(string(row[1].Text()), &id); err != nil || len(row[0].Text()) != 200 || seen[id] {
					return fmt.Errorf("row %s twice or wrong: %w", row[1].Text(), err)
				}
				seen[id] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if seen[0] || slices.Contains(seen[1:], false) || len(workers) != 2 {
			t.Errorf("rows are missing or too many; workers %v", workers)
		}
		if told != 200000 || total != 200000 {
			t.Errorf("progress %d of %d", told, total)
		}
	})
}

func TestCopyPartitionsAndFilters(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE p (id int, a text) PARTITION BY RANGE (id)", "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (50000)",
			"CREATE TABLE p2 (a text, dropped int, id int)", "ALTER TABLE p2 DROP dropped",
			"ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (50000) TO (60000)",
			"CREATE TABLE plain (id int PRIMARY KEY, a text)", "CREATE TABLE child () INHERITS (plain)",
			"INSERT INTO p SELECT i, 'x' FROM generate_series(0, 59999) i", "INSERT INTO plain VALUES (1, 'a'), (2, 'b')", "INSERT INTO child VALUES (3, 'c')",
			"CREATE PUBLICATION pub FOR TABLE p, ONLY plain WHERE (id < 2) WITH (publish_via_partition_root)")
		b := s.barrier()
		if n := len(slices.Compact(s.collect(b, CopyOptions{Table: s.table("public.p"), Workers: 2}))); n != 60000 {
			t.Errorf("%d rows of the partitioned table", n)
		}
		s.equal("filtered", strings.Join(s.collect(b, CopyOptions{Table: s.table("public.plain")}), "\n"), "1|a")
	})
}

func TestCopyFaults(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int)", "CREATE PUBLICATION pub FOR ALL TABLES",
			"INSERT INTO t SELECT generate_series(1, 100000)", "INSERT INTO u VALUES (1)")
		b := s.barrier()
		tt, u := s.table("public.t"), s.table("public.u")
		broken := errors.New("broken")
		err := b.Copy(t.Context(), CopyOptions{Table: tt, Workers: 2}, func(context.Context, int, []Tuple) error { return broken })
		if !errors.Is(err, broken) {
			t.Errorf("sink's error: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = b.Copy(ctx, CopyOptions{Table: tt, Workers: 2}, func(context.Context, int, []Tuple) error { cancel(); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		s.exec("TRUNCATE u")
		err = b.Copy(t.Context(), CopyOptions{Table: u}, func(context.Context, int, []Tuple) error { return nil })
		if !errors.Is(err, ErrRewritten) {
			t.Errorf("truncated: %v", err)
		}
		b.Close()
		if err = b.Copy(t.Context(), CopyOptions{Table: tt}, func(context.Context, int, []Tuple) error { return nil }); err == nil {
			t.Error("copied after the barrier was closed")
		}
		s.equal("slots left", s.get("SELECT count(*)::text FROM pg_replication_slots WHERE database = $1", s.cfg.Slot), "0")
	})
}

func TestCopyPace(t *testing.T) {
	s := newSource(t, versions[0])
	s.exec("CREATE TABLE t (id int)", "CREATE PUBLICATION pub FOR TABLE t", "INSERT INTO t SELECT generate_series(1, 20000)")
	start := time.Now()
	if n := len(s.collect(s.barrier(), CopyOptions{Table: s.table("public.t"), Workers: 2, RowsPerSecond: 20000})); n != 20000 {
		t.Errorf("%d rows", n)
	}
	if d := time.Since(start); d < 700*time.Millisecond {
		t.Errorf("20000 rows at 20000/s took %s", d)
	}
}

func TestCut(t *testing.T) {
	for _, files := range [][]int64{nil, {0}, {1}, {2048}, {2049, 0, 5}, {100000, 1, 1, 1}, slices.Repeat([]int64{40}, 3000)} {
		at := int64(0)
		ranges := cut(files, 0, slices.Max(append(files, 0)))
		for _, r := range ranges {
			if r.first != at || r.end <= r.first {
				t.Errorf("%v: %v", files, ranges)
			}
			at = r.end
		}
		if longest := slices.Max(append(files, 0)); at != longest {
			t.Errorf("%v: ends at %d", files, at)
		}
	}
}

func FuzzCopyLine(f *testing.F) {
	f.Add([]byte("a\tb\\tc\t\\N"), uint8(3))
	f.Add([]byte("\\"), uint8(1))
	f.Fuzz(func(t *testing.T, line []byte, columns uint8) {
		w := &copyWriter{copy: &tableCopy{CopyOptions: CopyOptions{Columns: make([]string, columns)}}}
		line = append(line, '\n')
		before := bytes.Clone(line)
		if _, err := w.Write(line); err == nil && (len(w.rows) != 1 || len(w.rows[0]) != int(columns)) {
			t.Errorf("%d rows of %d columns", len(w.rows), columns)
		}
		if !bytes.Equal(line, before) {
			t.Error("the input was written to")
		}
	})
}

// The binary format has the rows that the text format has, of an empty table, of one that takes more than one COPY, and a large one.
func TestCopyBinary(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE TABLE t (id int PRIMARY KEY, a text, b bytea) WITH (fillfactor = 10)", "CREATE TABLE empty (id int PRIMARY KEY)", "CREATE PUBLICATION pub FOR TABLE t, empty",
			`INSERT INTO t SELECT i, nullif(repeat('ü\t', i % 3), ''), decode(repeat('ff', i % 2), 'hex') FROM generate_series(1, 60000) i`, "INSERT INTO t VALUES (0, repeat('x', 3000000), NULL)")
		b := s.barrier()
		texts := CopyOptions{Table: s.table("public.t"), Columns: []string{"a"}}
		binary := texts
		binary.Binary = true // a text is the same in both
		s.equal("texts", strings.Join(s.collect(b, binary), "\n"), strings.Join(s.collect(b, texts), "\n"))
		some := CopyOptions{Table: s.table("public.t"), Columns: []string{"id", "b"}, Between: &Between{Column: "id", From: "0", To: "3"}, Binary: true}
		s.equal("numbers", fmt.Sprintf("%q", s.collect(b, some)), fmt.Sprintf("%q", []string{"\x00\x00\x00\x00|-", "\x00\x00\x00\x01|\xff", "\x00\x00\x00\x02|"}))
		s.equal("empty", fmt.Sprint(len(s.collect(b, CopyOptions{Table: s.table("public.empty"), Binary: true}))), "0")
	})
}

// Bytes of a type that a column no longer has are not read as that type; a domain is known as its base type.
func TestCopyBinaryOfOtherType(t *testing.T) {
	onEach(t, func(s *source) {
		s.exec("CREATE DOMAIN amount AS int", "CREATE TABLE t (id int PRIMARY KEY, a bigint, b amount)", "CREATE PUBLICATION pub FOR TABLE t", "INSERT INTO t VALUES (1, 2, 3)")
		opts := CopyOptions{Table: s.table("public.t"), Binary: true}
		s.equal("rows", fmt.Sprint(len(s.collect(s.barrier(), opts))), "1")
		s.exec("ALTER TABLE t ALTER a TYPE timestamptz USING 'epoch'::timestamptz")
		err := s.barrier().Copy(s.Context(), opts, func(context.Context, int, []Tuple) error { return nil })
		if !errors.Is(err, ErrRewritten) || !strings.Contains(err.Error(), "column a") {
			t.Errorf("copy: %v", err)
		}
	})
}

func FuzzCopyRow(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x00\x00\x01a\xff\xff\xff\xff"), uint8(2))
	f.Add([]byte("\x00\x01\x7f\xff\xff\xff"), uint8(1))
	f.Fuzz(func(t *testing.T, row []byte, columns uint8) {
		w := &copyWriter{copy: &tableCopy{CopyOptions: CopyOptions{Columns: make([]string, columns), Binary: true}}}
		if _, err := w.Write(row); err == nil && !bytes.HasPrefix(row, copySignature) {
			t.Error("a row was taken before the header")
		}
		w.begun = true
		if _, err := w.Write(row); err == nil && len(row) > 0 && !bytes.Equal(row, copyTrailer) && (len(w.rows) != 1 || len(w.rows[0]) != int(columns)) {
			t.Errorf("%d rows of %d columns", len(w.rows), columns)
		}
	})
}
