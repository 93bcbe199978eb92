package engine

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// say writes a line of progress, if anybody wants it.
func say(progress io.Writer, format string, args ...any) {
	if progress != nil {
		_, _ = fmt.Fprintf(progress, format, args...) // progress that cannot be shown is no reason to fail
	}
}

// meter shows one line while a release is fetched: a line that moves on a terminal, a plain one elsewhere.
type meter struct {
	quit, done chan struct{}
}

func startMeter(progress io.Writer, r release, dir string) *meter {
	m := &meter{quit: make(chan struct{}), done: make(chan struct{})}
	line := fmt.Sprintf("fetching %s (%d MB) …", r.title, megabytes(r.size))
	if !isTerminal(progress) {
		say(progress, "%s\n", line)
		close(m.done)
		return m
	}
	go m.run(progress, line, r.size, dir) // ends at stop, which waits for it
	return m
}

func (m *meter) stop() {
	close(m.quit)
	<-m.done
}

func (m *meter) run(progress io.Writer, line string, size int64, dir string) {
	defer close(m.done)
	beat := time.NewTicker(250 * time.Millisecond)
	defer beat.Stop()
	start := time.Now()
	for {
		share := min(99, 100*folderSize(dir)/size)
		say(progress, "\r%s %d%%, %ds ", line, share, int(time.Since(start).Seconds()))
		select {
		case <-m.quit:
			say(progress, "\r%s %ds      \n", line, int(time.Since(start).Seconds()))
			return
		case <-beat.C:
		}
	}
}

func megabytes(bytes int64) int64 { return (bytes + 500_000) / 1_000_000 }

// folderSize is what npm has written so far: its tarball and its cache hold the same bytes, so the larger file counts.
func folderSize(dir string) (largest int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // gone meanwhile
		}
		if info, err := entry.Info(); err == nil {
			largest = max(largest, info.Size())
		}
		return nil
	})
	return largest
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
