package e2e

import (
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

// TestFailuresAreShown checks that every test exists that docs/failures.md names, and that each failure names one.
func TestFailuresAreShown(t *testing.T) {
	text := read(t, "../../docs/failures.md")
	named := regexp.MustCompile("`(?:([a-z]+)\\.)?(Test[A-Za-z]+)`")
	rows := 0
	for line := range strings.Lines(text) {
		found := named.FindAllStringSubmatch(line, -1)
		if failure := strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| what goes wrong"); failure {
			rows++
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
	if rows < 45 {
		t.Errorf("%d failures", rows)
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
