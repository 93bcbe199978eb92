package sql

import (
	"fmt"
	"strings"
)

var literalEscaper = strings.NewReplacer("\\", "\\\\", "'", "\\'", "\x00", "\\0")

// Ident quotes a ClickHouse identifier; it is the only way that a name enters a statement. What could mean something to
// ClickHouse within backticks, or to clickhouse-go, which looks for columns and parameters in the texts that it sends, is
// written by its code.
func Ident(name string) string {
	var b strings.Builder
	b.WriteByte('`')
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0x80, strings.IndexByte("_-. ", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "\\x%02x", c)
		}
	}
	b.WriteByte('`')
	return b.String()
}

// fileNameBytes is how long the name is that ClickHouse gives a file after an identifier.
func fileNameBytes(name string) int {
	n := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
			n++
		default: // as %41
			n += 3
		}
	}
	return n
}

// Literal quotes a ClickHouse string literal, for the few places where no parameter can be bound (DDL).
func Literal(text string) string { return "'" + literalEscaper.Replace(text) + "'" }

func qualified(database, name string) string { return Ident(database) + "." + Ident(name) }

// mapJoin applies f to each item and joins the results with ", ".
func mapJoin[T any](items []T, f func(T) string) string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = f(item)
	}
	return strings.Join(out, ", ")
}

// lsnText renders an expression of PostgreSQL's X/Y form of the LSN that the expression column holds.
func lsnText(column string) string {
	half := func(e string) string {
		return fmt.Sprintf("if(%[1]s = 0, '0', trimLeft(hex(toUInt32(%[1]s)), '0'))", e)
	}
	return fmt.Sprintf("concat(%s, '/', %s)",
		half("bitShiftRight("+column+", 32)"), half("bitAnd("+column+", 4294967295)"))
}
