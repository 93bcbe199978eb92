// Command promeval evaluates PromQL over scrapes of one target, with Prometheus' own engine, and looks at a file of alerting
// rules as Prometheus does when it loads one. Tests of deploy/ run it; what it needs is no dependency of tidemark's.
//
// It reads a request from standard input and writes the answer to standard output, both as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

type request struct {
	Scrapes []string `json:"scrapes"` // of the target, one each scrapeInterval, in the text format
	Queries []string `json:"queries"`
	Rules   string   `json:"rules"` // a file's text
}

type answer struct {
	Queries []result `json:"queries"` // one for each query
	Rules   string   `json:"rules"`   // what is wrong with them
}

// result is what a query gives at the last scrape. Of a comparison, which filters, it is what is compared.
type result struct {
	Series int    `json:"series"`
	Error  string `json:"error"`
}

const scrapeInterval = 15 * time.Second

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, in io.Reader, out io.Writer) error {
	var asked request
	if err := json.NewDecoder(in).Decode(&asked); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	now := time.Now()
	kept := history{}
	for i, text := range asked.Scrapes {
		at := now.Add(-scrapeInterval * time.Duration(len(asked.Scrapes)-1-i))
		if err := kept.scrape(text, at); err != nil {
			return fmt.Errorf("scrape %d: %w", i+1, err)
		}
	}
	var answered answer
	_, wrong := rulefmt.Parse([]byte(asked.Rules), false)
	if err := errors.Join(wrong...); err != nil {
		answered.Rules = err.Error()
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute})
	for _, query := range asked.Queries {
		series, err := evaluate(ctx, engine, kept, query, now)
		r := result{Series: series}
		if err != nil {
			r.Error = err.Error()
		}
		answered.Queries = append(answered.Queries, r)
	}
	return json.NewEncoder(out).Encode(answered)
}

// target are the labels that Prometheus gives what it scrapes.
var target = labels.FromStrings("job", "tidemark", "instance", "localhost:8642")

// history is what was scraped, by the labels of each series as text.
type history map[string]*samples

type samples struct {
	labels labels.Labels
	list   []chunks.Sample
}

// sample is a number at a time.
type sample struct {
	at    int64 // ms
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// scrape keeps what a target answered, and that it did.
func (h history) scrape(text string, at time.Time) error {
	h.add(labels.FromStrings(model.MetricNameLabel, "up"), at, 1)
	p := textparse.NewPromParser([]byte(text), labels.NewSymbolTable(), false)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry == textparse.EntrySeries {
			var l labels.Labels
			p.Labels(&l)
			_, _, v := p.Series()
			h.add(l, at, v)
		}
	}
}

func (h history) add(l labels.Labels, at time.Time, v float64) {
	all := labels.NewBuilder(l)
	target.Range(func(of labels.Label) { all.Set(of.Name, of.Value) })
	l = all.Labels()
	s := h[l.String()]
	if s == nil {
		s = &samples{labels: l}
		h[l.String()] = s
	}
	s.list = append(s.list, sample{at.UnixMilli(), v})
}

// Querier makes the engine read the history.
func (h history) Querier(_, _ int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		var found found
		for _, s := range h {
			if matches(s.labels, matchers) {
				found.series = append(found.series, storage.NewListSeries(s.labels, s.list))
			}
		}
		return &found
	}}, nil
}

// found are the series of a selector; the engine takes them one by one.
type found struct {
	series []storage.Series
	taken  int
}

func (f *found) Next() bool                        { f.taken++; return f.taken <= len(f.series) }
func (f *found) At() storage.Series                { return f.series[f.taken-1] }
func (f *found) Err() error                        { return nil }
func (f *found) Warnings() annotations.Annotations { return nil }

func matches(l labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

func evaluate(ctx context.Context, engine *promql.Engine, kept storage.Queryable, query string, at time.Time) (series int, err error) {
	expression, err := parser.ParseExpr(query)
	if err != nil {
		return 0, err
	}
	if compared, ok := expression.(*parser.BinaryExpr); ok && compared.Op.IsComparisonOperator() {
		query = compared.LHS.String()
	}
	q, err := engine.NewInstantQuery(ctx, kept, nil, query, at)
	if err != nil {
		return 0, err
	}
	defer q.Close()
	found := q.Exec(ctx)
	vector, err := found.Vector()
	return len(vector), errors.Join(append(found.Warnings.AsErrors(), err)...)
}
