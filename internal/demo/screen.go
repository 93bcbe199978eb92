package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"

	"github.com/tidemark-db/tidemark/splitdate"
)

// screen shows readings: on a terminal as a block that is drawn again in its place, elsewhere as lines. It is safe for
// concurrent use.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	live  *os.File // the terminal, nil where it is none
	block []string // what stands at the bottom of the terminal
	lines int      // readings shown as lines
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if file, ok := out.(*os.File); ok && isatty.IsTerminal(file.Fd()) && os.Getenv("TERM") != "dumb" {
		s.live = file
	}
	return s
}

// say prints a line for good.
func (s *screen) say(format string, args ...any) {
	s.print(s.out, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	})
}

// print writes above the block. What cannot be shown is no reason to end what is shown.
func (s *screen) print(w io.Writer, write func(io.Writer) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	block := s.block
	s.draw(nil)
	_ = write(w)
	s.draw(block)
}

// draw replaces the block.
func (s *screen) draw(block []string) {
	if s.live == nil {
		return
	}
	var b strings.Builder
	if n := len(s.block); n > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", n) // up to its first line, and clear from there on
	}
	width := s.width()
	for _, line := range block {
		b.WriteString(clip(line, width))
		b.WriteByte('\n')
	}
	s.block = block
	_, _ = io.WriteString(s.out, b.String())
}

// clip cuts a line that would take two lines of the terminal.
func clip(line string, width int) string {
	if runes := []rune(line); len(runes) > width {
		return string(runes[:width])
	}
	return line
}

func (s *screen) width() int {
	size, err := unix.IoctlGetWinsize(int(s.live.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 80
	}
	return int(size.Col)
}

// end leaves the block where it is: what follows comes below.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.block = nil
}

// above returns a writer to w whose output does not mix with the block.
func (s *screen) above(w io.Writer) io.Writer { return &aboveWriter{s, w} }

type aboveWriter struct {
	screen *screen
	to     io.Writer
}

func (a *aboveWriter) Write(p []byte) (n int, err error) {
	a.screen.print(a.to, func(w io.Writer) error {
		n, err = w.Write(p)
		return err
	})
	return n, err
}

// places are what the user needs to look around.
type places struct {
	Postgres, PostgresVersion     string
	ClickHouse, ClickHouseVersion string
	HTTP                          string // of ClickHouse
	Page                          string // the status page
	Config, Log                   string
	Window, For                   string
	Rate                          int
}

//go:embed intro.txt.tmpl
var introText string

var introTemplate = template.Must(template.New("intro").Parse(introText))

func (s *screen) introduce(p places) error {
	var b bytes.Buffer
	if err := introTemplate.Execute(&b, p); err != nil {
		return fmt.Errorf("introduce: %w", err)
	}
	s.say("%s", b.String())
	return nil
}

// show shows a reading.
func (s *screen) show(r reading) {
	if s.live == nil {
		s.say("%s", strings.Join(s.asLines(r), "\n"))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draw(asBlock(r))
}

const (
	clock     = "15:04:05"
	splitDate = "2006-01-02 15:04:05"
	headEvery = 20 // lines
)

// asLines returns the line of a reading, with the heading where it is time for it.
func (s *screen) asLines(r reading) (lines []string) {
	const layout = "%-8s  %11s  %11s  %9s  %-19s  %11s  %9s  %11s  %8s"
	if r.views < r.wanted {
		return []string{fmt.Sprintf("%s  loading: %d of %d views answer, %.0f changes/s committed", r.at.UTC().Format(clock), r.views, r.wanted, r.committed)}
	}
	if s.lines%headEvery == 0 {
		lines = append(lines, fmt.Sprintf(layout, "UTC", "sales in RT", "HISTORIC", "LATE", "split date", "committed/s", "applied/s", "visible p50", "max"))
	}
	s.lines++
	sales := r.mark.Tables["sales"]
	return append(lines, fmt.Sprintf(layout, r.at.UTC().Format(clock), rtRows(sales), historicRows(sales), lateRows(sales), splitOf(sales),
		rate(r.committed), rate(r.applied), seconds(r.delays.median), seconds(r.delays.most)))
}

// asBlock returns the block of a reading.
func asBlock(r reading) []string {
	const layout = "  %-10s %13s %13s %10s   %s"
	block := []string{"", fmt.Sprintf(layout, "rows", "RT", "HISTORIC", "LATE", "split date (UTC)")}
	names := []string{"sales", "stock", "products", "stores"}
	for _, name := range names {
		t, ok := r.mark.Tables[name]
		if !ok {
			block = append(block, fmt.Sprintf("  %-10s %13s", name, "loading"))
			continue
		}
		block = append(block, fmt.Sprintf(layout, name, rtRows(t), historicRows(t), lateRows(t), splitOf(t)))
	}
	return slices.Concat(block, []string{
		"",
		fmt.Sprintf("  changes/s           %s committed, %s applied", rate(r.committed), rate(r.applied)),
		fmt.Sprintf("  commit to visible   p50 %s, max %s (latest %d commits)", seconds(r.delays.median), seconds(r.delays.most), probesKept),
		"  " + describeMark(r),
	})
}

func describeMark(r reading) string {
	if r.mark.Epoch == 0 {
		return "no mark yet"
	}
	return fmt.Sprintf("%-20sholds every commit before %s, the last one %s ago", fmt.Sprintf("mark %d", r.mark.Epoch), r.mark.LSN, seconds(r.at.Sub(r.mark.CommitTime)))
}

func rtRows(t splitdate.Table) string   { return thousands(t.Rows(t.RT)) }
func lateRows(t splitdate.Table) string { return thousands(t.Rows(t.Late)) }

// historicRows counts the live rows: without those that a mask hides.
func historicRows(t splitdate.Table) string { return thousands(t.Rows(t.Historic()) - t.Rows(t.Masks)) }

func splitOf(t splitdate.Table) string {
	if t.Mirrored {
		return "mirrored"
	}
	return t.Split.Time().UTC().Format(splitDate)
}

func rate(perSecond float64) string { return thousands(int64(perSecond + 0.5)) }

func seconds(d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// thousands writes a number with separators: 1,234,567.
func thousands[T ~int | ~int64 | ~uint64](n T) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}
