package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// where the tests of a package lie that docs/failures.md names; without a package they are ours.
var testFolders = map[string]string{
	"": ".", "bridge": "../bridge", "load": "../load", "cdc": "../../cdc", "engine": "../engine", "shape": "../shape", "splitdate": "../../splitdate", "sql": "../../sql", "warehouse": "../warehouse",
}

// failureRows is how many failures each section of docs/failures.md has. A failure that is added is counted here too.
var failureRows = map[string]int{"A": 10, "B": 9, "C": 25, "D": 15, "E": 7}

// TestFailuresAreShown checks that every test exists that docs/failures.md names, that each failure names one, and that no
// failure went away.
func TestFailuresAreShown(t *testing.T) {
	text := read(t, "../../docs/failures.md")
	named := regexp.MustCompile("`(?:([a-z]+)\\.)?(Test[A-Za-z]+)`")
	rows, section := map[string]int{}, ""
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section, _, _ = strings.Cut(title, ".")
		}
		found := named.FindAllStringSubmatch(line, -1)
		if failure := strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| what goes wrong"); failure {
			rows[section]++
			if len(found) == 0 {
				t.Errorf("no test is named for %s", line)
			}
		}
		for _, match := range found {
			if !testExists(t, match[1], match[2]) {
				t.Errorf("there is no test %s", match[0])
			}
		}
	}
	if !maps.Equal(rows, failureRows) {
		t.Errorf("failures by section: %v, want %v", rows, failureRows)
	}
}

func testExists(t *testing.T, pkg, name string) bool {
	t.Helper()
	folder, ok := testFolders[pkg]
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || !ok {
		t.Fatalf("no package %q: %v", pkg, err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
