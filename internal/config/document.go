package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is a YAML value, its scalars as text: what a text means is up to the key that it is written for, the same for
// the file, the environment and the flags.
type node struct {
	line    int
	kind    nodeKind
	text    string   // of a scalar
	items   []*node  // of a list
	entries []*entry // of a mapping, in the order of the file
}

type nodeKind int

const (
	absent nodeKind = iota // null: as if the key were not written
	scalar
	list
	mapping
)

type entry struct {
	key   string
	line  int
	value *node
}

func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// document parses the file. It returns nil after a syntax error.
func (r *reader) document(text []byte) *node {
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	if len(file.Docs) > 1 {
		r.fault(Fault{
			At:   Origin{r.file, lineOf(file.Docs[1])},
			What: "a second YAML document begins",
			Try:  "keep one document in the file",
		})
		return nil
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return &node{}
	}
	return r.node("", file.Docs[0].Body)
}

// syntax reports the parser's message without its excerpt of the file, which may show a password.
func (r *reader) syntax(err error) {
	at := Origin{Name: r.file}
	what := "is not YAML"
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		what = "is not YAML: " + syntax.Message
		if syntax.Token != nil && syntax.Token.Position != nil {
			at.Line = syntax.Token.Position.Line
		}
	}
	r.fault(Fault{At: at, What: what, Try: "correct that line; indentation is by spaces"})
}

func (r *reader) node(path string, n ast.Node) *node {
	out := &node{line: lineOf(n)}
	switch n := n.(type) {
	case nil:
	case *ast.NullNode:
		if n.GetToken().Type != token.ImplicitNullType { // written, not left out
			out.text = n.GetToken().Value
		}
	case *ast.MappingNode:
		out.kind = mapping
		r.entries(out, path, n.Values)
	case *ast.MappingValueNode:
		out.kind = mapping
		r.entries(out, path, []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		out.kind = list
		for i, item := range n.Values {
			out.items = append(out.items, r.node(fmt.Sprintf("%s[%d]", path, i), item))
		}
	case *ast.LiteralNode:
		out.kind, out.text = scalar, n.Value.Value
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = scalar, n.GetToken().Value
	default:
		r.fault(Fault{
			Path: path, At: Origin{r.file, out.line},
			What: "has a YAML " + strings.ToLower(n.Type().String()),
			Try:  "write the value itself, without anchors, aliases and tags",
		})
	}
	return out
}

func (r *reader) entries(out *node, path string, values []*ast.MappingValueNode) {
	for _, v := range values {
		e := &entry{key: keyText(v.Key), line: lineOf(v.Key)}
		at := join(path, keyPart(path, e.key))
		if before := out.find(e.key); before != nil {
			r.faults = append(r.faults, &Fault{ // the first value is checked as if it were the only one
				Path: at, At: Origin{r.file, e.line},
				What: fmt.Sprintf("is already in line %d", before.line),
				Try:  "keep one of the two",
			})
			continue
		}
		e.value = r.node(at, v.Value)
		out.entries = append(out.entries, e)
	}
}

func (n *node) find(key string) *entry {
	for _, e := range n.entries {
		if e.key == key {
			return e
		}
	}
	return nil
}

// keyPart writes a key as part of a path. That of a table is two parts already.
func keyPart(path, key string) string {
	if path == "tables" {
		return key
	}
	return quotePart(key)
}

func keyText(key ast.MapKeyNode) string {
	if key == nil || key.GetToken() == nil {
		return ""
	}
	return key.GetToken().Value
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}
