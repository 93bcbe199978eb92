package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBench runs every part at a small scale: each must measure something, and no row may lack its figures.
func TestBench(t *testing.T) {
	t.Cleanup(removeProgram)
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "bench.json")
			var table strings.Builder
			if err := bench(t.Context(), []string{p.name, "-scale", "0.002", "-runs", "1", "-json", file}, &table); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var saved struct{ Rows []Row }
			if err := json.Unmarshal(raw, &saved); err != nil {
				t.Fatal(err)
			}
			if len(saved.Rows) == 0 {
				t.Error("measured nothing")
			}
			for _, row := range saved.Rows {
				if row.Part != p.name || row.Unit == "" || row.Against != "" && (row.Other == 0 || row.Ratio != row.Value/row.Other) {
					t.Errorf("incomplete: %+v", row)
				}
				if !strings.Contains(table.String(), row.What) {
					t.Errorf("%q is not in the table", row.What)
				}
			}
		})
	}
}

// TestQuestions sees that every file of statements renders without a placeholder left.
func TestQuestions(t *testing.T) {
	names, err := twelve()
	if err != nil || len(names) != 12 {
		t.Fatalf("%d queries, %v", len(names), err)
	}
	q := &queries{historic: 300}
	for _, name := range append(names, "nothing") {
		a := q.texts(name)
		for _, text := range []string{a.view, a.plain, a.peer} {
			if strings.ContainsAny(text, "{}") {
				t.Errorf("%s: a placeholder is left in %s", name, text)
			}
		}
		if a.view == a.plain || a.plain == a.peer {
			t.Errorf("%s asks two of the three the same", name)
		}
	}
	entries, err := files.ReadDir("sql/aggregates")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, _, err := question(e.Name()); err != nil {
			t.Error(err)
		}
	}
}

// TestGoal judges a row by its ratio or by its value.
func TestGoal(t *testing.T) {
	for _, c := range []struct {
		goal *Goal
		row  Row
		met  bool
	}{
		{ratioAtLeast(4), Row{Value: 1, Ratio: 4}, true},
		{ratioAtLeast(4), Row{Value: 9, Ratio: 3.9}, false},
		{ratioAtMost(1.1), Row{Value: 9, Ratio: 1.1}, true},
		{valueAtMost(150), Row{Value: 151, Ratio: 1}, false},
	} {
		if c.goal.judge(c.row); c.goal.Met != c.met {
			t.Errorf("%s of %+v", c.goal, c.row)
		}
	}
}
