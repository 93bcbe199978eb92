package cdc

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// senders are the calls by which a session of PostgreSQL is told to do something. Those of pglogrepl always change its
// state; the others do where their text says so.
var (
	senders   = []string{"Exec", "ExecParams", "Query", "QueryRow", "CopyTo", "CopyFrom", "SendBatch", "Prepare"}
	logrepl   = []string{"CreateReplicationSlot", "DropReplicationSlot", "StartReplication", "SendStandbyStatusUpdate", "SendStandbyCopyDone"}
	changing  = regexp.MustCompile(`(?i)^\s*(insert|update|delete|merge|create|drop|alter|truncate|lock|grant|revoke|call|do)\b|pg_(drop|create|copy|alter|terminate|cancel|try_advisory|advisory|logical|replication)_?\w*\(`)
	ownChange = "Around"
)

// TestEveryChangeIsAFailpoint reads the package's source: whatever changes PostgreSQL's state is done within
// failpoint.Hook.Around.
func TestEveryChangeIsAFailpoint(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var points []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, checkChanges(t, name, file)...)
	}
	slices.Sort(points)
	// statement is that of createSlot: create_slot or create_barrier.
	if want := []string{"confirm", "drop_slot", "release_lock", "start_replication", "statement", "take_lock", "terminate"}; !slices.Equal(points, want) {
		t.Errorf("failpoints %v, want %v", points, want)
	}
}

// checkChanges returns the names of a file's failpoints.
func checkChanges(t *testing.T, name string, file *ast.File) (points []string) {
	t.Helper()
	within := 0 // calls of Around that enclose the node
	var stack []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			if selector(stack[len(stack)-1]) == ownChange {
				within--
			}
			stack = stack[:len(stack)-1]
			return true
		}
		stack = append(stack, n)
		called := selector(n)
		if called == ownChange {
			within++
			points = append(points, text(n.(*ast.CallExpr).Args[1]))
		}
		if within == 0 && (slices.Contains(logrepl, called) || slices.Contains(senders, called) && changes(t, n.(*ast.CallExpr))) {
			t.Errorf("%s: %s is no failpoint", name, called)
		}
		return true
	})
	return points
}

// selector is the name of the method or function that a node calls, or "".
func selector(n ast.Node) string {
	if call, ok := n.(*ast.CallExpr); ok {
		if s, ok := call.Fun.(*ast.SelectorExpr); ok {
			return s.Sel.Name
		}
	}
	return ""
}

// changes reports whether a call sends a text that changes state: a literal, or one of the files in queries.
func changes(t *testing.T, call *ast.CallExpr) (found bool) {
	t.Helper()
	for _, arg := range call.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok {
				if f, ok := c.Fun.(*ast.Ident); ok && f.Name == "query" {
					found = found || changing.MatchString(query(text(c.Args[0])))
				}
			}
			found = found || changing.MatchString(text(n))
			return true
		})
	}
	return found
}

// text of a string literal, or the name of a variable.
func text(n ast.Node) string {
	switch n := n.(type) {
	case *ast.BasicLit:
		return strings.Trim(n.Value, "\"`")
	case *ast.Ident:
		return n.Name
	}
	return ""
}
