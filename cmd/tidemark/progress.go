package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidemark-db/tidemark/internal/observe"
)

// watched runs a job and shows on a terminal how far it is.
func watched[T any](a *app, job func(watch func(observe.JobStatus)) ([]T, error)) ([]T, error) {
	shown := false
	done, err := job(func(p observe.JobStatus) {
		if a.console {
			shown = true
			fmt.Fprintf(a.stderr, "\r%s\x1b[K", progressLine(p))
		}
	})
	if shown {
		fmt.Fprint(a.stderr, "\r\x1b[K")
	}
	return done, err
}

// barCells is the width of a progress bar.
const barCells = 24

// progressLine renders a job, e.g. "public.sales [######..] 25%  1000 of about 4000 rows  500 rows/s  6s left".
func progressLine(p observe.JobStatus) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", p.Table, p.Phase)
	if p.Total > 0 {
		part := min(float64(p.Done)/float64(p.Total), 1)
		full := int(part * barCells)
		fmt.Fprintf(&b, " [%s%s] %.0f%%  %d of about %d rows", strings.Repeat("#", full), strings.Repeat(".", barCells-full), part*100, p.Done, p.Total)
	} else {
		fmt.Fprintf(&b, "  %d rows", p.Done)
	}
	fmt.Fprintf(&b, "  %.0f rows/s", p.Rate)
	if p.Left > 0 {
		fmt.Fprintf(&b, "  %s left", time.Duration(p.Left*float64(time.Second)).Round(time.Second))
	}
	if p.Parts > 0 {
		fmt.Fprintf(&b, "  (%d more parts)", p.Parts)
	}
	if p.Slot != "" {
		fmt.Fprintf(&b, "  (holds a snapshot and WAL since %s, for %s)", p.Slot, time.Duration(p.Held*float64(time.Second)).Round(time.Second))
	}
	return b.String()
}
