package demo

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tidemark-db/tidemark/splitdate"
)

func aReading(rows uint64) reading {
	split := splitdate.InstantOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	sales := splitdate.Table{
		Split: split, RT: []splitdate.Chunk{1}, Clean: []splitdate.Chunk{2}, Dirty: []splitdate.Chunk{3},
		Masks: []splitdate.Chunk{4}, Late: []splitdate.Chunk{5},
		Chunks: map[splitdate.Chunk]splitdate.Meta{1: {Rows: rows}, 2: {Rows: rows}, 3: {Rows: rows}, 4: {Rows: rows / 2}, 5: {Rows: rows / 100}},
	}
	return reading{
		at:    time.Date(2026, 1, 2, 3, 5, 5, 0, time.UTC),
		mark:  splitdate.Mark{Epoch: 7, LSN: 0x1000000FF, CommitTime: time.Date(2026, 1, 2, 3, 5, 4, 0, time.UTC), Tables: map[string]splitdate.Table{"sales": sales}},
		views: 4, wanted: 4, committed: 501.6, applied: 498.2, delays: delays{612 * time.Millisecond, 1100 * time.Millisecond},
	}
}

func TestLinesAreAligned(t *testing.T) {
	s := newScreen(&strings.Builder{})
	lines := append(s.asLines(aReading(0)), s.asLines(aReading(123_456_789))...)
	if len(lines) != 3 {
		t.Fatalf("got %d lines", len(lines))
	}
	for _, line := range lines {
		if utf8.RuneCountInString(line) != len(lines[0]) {
			t.Errorf("of different lengths:\n%s", strings.Join(lines, "\n"))
		}
	}
	want := "03:05:05  123,456,789  185,185,184  1,234,567  2026-01-02 03:04:05          502        498       0.61 s    1.10 s"
	if lines[2] != want {
		t.Errorf("got  %q\nwant %q", lines[2], want)
	}
}

func TestBlock(t *testing.T) {
	got := strings.Join(asBlock(aReading(3000)), "\n")
	want := `
  rows                  RT      HISTORIC       LATE   split date (UTC)
  sales              3,000         4,500         30   2026-01-02 03:04:05
  stock            loading
  products         loading
  stores           loading

  changes/s           502 committed, 498 applied
  commit to visible   p50 0.61 s, max 1.10 s (latest 20 commits)
  mark 7              holds every commit before 1/FF, the last one 1.00 s ago`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s", n, got)
		}
	}
}

func TestSpoken(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 10 * time.Minute: "10m", 20 * time.Second: "20s"} {
		if got := spoken(d); got != want {
			t.Errorf("spoken(%d) = %s, want %s", d, got, want)
		}
	}
}
