package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// calmFor is how long a warning or an error that repeats is not written again.
const calmFor = time.Minute

// calm passes on what is logged, but of warnings and errors that differ in nothing but numbers one a minute; that one says
// how many there were. What comes after a recovery is news again: each recovery in the log has an interruption before it. It
// is safe for concurrent use.
type calm struct {
	out io.Writer
	now func() time.Time

	mu   sync.Mutex
	said map[string]*repeats
}

// repeats are the events of one kind.
type repeats struct {
	at      time.Time // when one was written
	dropped int       // since then
}

func newCalm(out io.Writer) *calm {
	return &calm{out: out, now: time.Now, said: map[string]*repeats{}}
}

// Write passes on an event of any level.
func (c *calm) Write(event []byte) (int, error) { return c.out.Write(event) }

// WriteLevel implements zerolog.LevelWriter.
func (c *calm) WriteLevel(level zerolog.Level, event []byte) (int, error) {
	if level < zerolog.WarnLevel {
		if bytes.Contains(event, recovery) {
			c.forget()
		}
		return c.out.Write(event)
	}
	dropped, again := c.repeats(kindOf(event))
	if again {
		return len(event), nil
	}
	if dropped > 0 {
		event = fmt.Appendf(bytes.TrimRight(event, "}\n"), ",\"repeated\":%d}\n", dropped)
	}
	if _, err := c.out.Write(event); err != nil {
		return 0, err
	}
	return len(event), nil
}

// recovery is how the bridge says that it works again.
var recovery = []byte(`"message":"recovered"`)

// forget lets everything be written again.
func (c *calm) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.said {
		r.at = time.Time{}
	}
}

// repeats counts an event, and says whether one of its kind was written a moment ago, or else how many were dropped since.
func (c *calm) repeats(kind string) (dropped int, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.said[kind]
	if r != nil && c.now().Sub(r.at) < calmFor {
		r.dropped++
		return 0, true
	}
	if r != nil {
		dropped = r.dropped
	}
	c.said[kind] = &repeats{at: c.now()}
	return dropped, false
}

// kindOf is what an event says without its numbers: two errors about different positions are of one kind.
func kindOf(event []byte) string {
	var e struct{ Level, Message, Table, Kind, Error string }
	if err := json.Unmarshal(event, &e); err != nil {
		return string(event)
	}
	words := strings.Join([]string{e.Level, e.Message, e.Table, e.Kind, e.Error}, "\n")
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, words)
}
