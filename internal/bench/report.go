package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// Row is one measurement beside its peer or limit, of one run on one machine.
type Row struct {
	Part    string  `json:"part"`
	Case    string  `json:"case"`
	What    string  `json:"what"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Against string  `json:"against,omitempty"`
	Other   float64 `json:"other,omitempty"` // what was measured of it, in the same unit
	Ratio   float64 `json:"ratio,omitempty"` // Value / Other
	Goal    *Goal   `json:"goal,omitempty"`
}

// Goal is a bound on a row's ratio, or on its value.
type Goal struct {
	Of    string  `json:"of"` // ratio or value
	Least bool    `json:"least"`
	Bound float64 `json:"bound"`
	Met   bool    `json:"met"`
}

func ratioAtLeast(bound float64) *Goal { return &Goal{Of: "ratio", Least: true, Bound: bound} }
func ratioAtMost(bound float64) *Goal  { return &Goal{Of: "ratio", Bound: bound} }
func valueAtMost(bound float64) *Goal  { return &Goal{Of: "value", Bound: bound} }

func (g *Goal) judge(r Row) {
	v := r.Value
	if g.Of == "ratio" {
		v = r.Ratio
	}
	g.Met = v <= g.Bound
	if g.Least {
		g.Met = v >= g.Bound
	}
}

func (g *Goal) String() string {
	if g == nil {
		return ""
	}
	sign, met := "≤", "missed"
	if g.Least {
		sign = "≥"
	}
	if g.Met {
		met = "met"
	}
	return fmt.Sprintf("%s %s %s: %s", g.Of, sign, figure(g.Bound), met)
}

// report collects the rows of all parts.
type report struct{ rows []Row }

// run is the measuring of one part.
type run struct {
	options
	part   string
	report *report
	peak   int // MiB, of the bridges
}

// add completes a row and shows it at once, as others may take long.
func (r *run) add(row Row) {
	row.Part = r.part
	if row.Other != 0 {
		row.Ratio = row.Value / row.Other
	}
	if row.Goal != nil {
		row.Goal.judge(row)
	}
	r.report.rows = append(r.report.rows, row)
	fmt.Fprintf(os.Stderr, "  %s: %s: %s %s; %s %s; ratio %s  %s\n", row.Case, row.What, figure(row.Value), row.Unit, row.Against, figure(row.Other), figure(row.Ratio), row.Goal)
}

func (r *run) addPeak() {
	if r.peak > 0 {
		r.add(Row{Case: "every case", What: "bridge, peak RSS", Value: float64(r.peak), Unit: "MiB", Goal: valueAtMost(300)})
	}
}

// figure shows three digits, or all before the point; nothing of what was not measured.
func figure(v float64) string {
	switch {
	case v == 0:
		return "–"
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func (r *report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| part\t| case\t| what\t| value\t| unit\t| against\t| other\t| ratio\t| goal\t|")
	fmt.Fprintln(w, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, row := range r.rows {
		fmt.Fprintf(w, "| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t|\n",
			row.Part, row.Case, row.What, figure(row.Value), row.Unit, row.Against, figure(row.Other), figure(row.Ratio), row.Goal)
	}
	return w.Flush()
}

// save writes the rows with what they depend on.
func (r *report) save(o options) error {
	if o.json == "" || len(r.rows) == 0 {
		return nil
	}
	text, err := json.MarshalIndent(map[string]any{
		"at": time.Now().UTC().Format(time.RFC3339), "scale": o.scale, "runs": o.runs, "processors": runtime.NumCPU(), "rows": r.rows,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode rows: %w", err)
	}
	return os.WriteFile(o.json, append(text, '\n'), 0o644)
}

// race runs the contestants in turns, so that what else the machine does befalls all alike, and returns the median of each.
// The first turn warms up.
func race(runs int, contestants ...func() error) ([]time.Duration, error) {
	took := make([][]time.Duration, len(contestants))
	for turn := range runs + 1 {
		for i, contestant := range contestants {
			began := time.Now()
			if err := contestant(); err != nil {
				return nil, err
			}
			if turn > 0 {
				took[i] = append(took[i], time.Since(began))
			}
		}
	}
	medians := make([]time.Duration, len(contestants))
	for i := range took {
		medians[i] = median(took[i])
	}
	return medians, nil
}

func median(took []time.Duration) time.Duration { return quantile(took, .5) }

// quantile sorts what it is given.
func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[int(q*float64(len(took)-1)+.5)]
}

// geometricMean of ratios.
func geometricMean(ratios []float64) float64 {
	sum := 0.0
	for _, r := range ratios {
		sum += math.Log(r)
	}
	return math.Exp(sum / float64(len(ratios)))
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
