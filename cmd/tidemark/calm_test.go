package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// TestCalm sees that repeated warnings and errors are written once a minute, with their number, or once after each recovery,
// and everything else as often as it is said.
func TestCalm(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	c := newCalm(&out)
	c.now = func() time.Time { return now }
	log := zerolog.New(c)
	for i := range 3 {
		log.Info().Int("n", i).Msg("rolled")
		log.Error().Str("table", "sales").Str("error", "at 0/"+strings.Repeat("1", i+1)).Msg("interrupted")
		log.Warn().Str("table", "stores").Msg("interrupted")
		now = now.Add(calmFor/2 - time.Second)
	}
	now = now.Add(calmFor)
	log.Error().Str("table", "sales").Str("error", "at 0/5").Msg("interrupted")
	log.Error().Str("table", "sales").Str("error", "of another kind").Msg("interrupted")
	log.Error().Str("table", "sales").Str("error", "at 0/6").Msg("interrupted")
	log.Info().Msg("recovered")
	log.Error().Str("table", "sales").Str("error", "at 0/7").Msg("interrupted")
	want := `{"level":"info","n":0,"message":"rolled"}
{"level":"error","table":"sales","error":"at 0/1","message":"interrupted"}
{"level":"warn","table":"stores","message":"interrupted"}
{"level":"info","n":1,"message":"rolled"}
{"level":"info","n":2,"message":"rolled"}
{"level":"error","table":"sales","error":"at 0/5","message":"interrupted","repeated":2}
{"level":"error","table":"sales","error":"of another kind","message":"interrupted"}
{"level":"info","message":"recovered"}
{"level":"error","table":"sales","error":"at 0/7","message":"interrupted","repeated":1}
`
	if out.String() != want {
		t.Errorf("wrote\n%swant\n%s", out.String(), want)
	}
}
