package sql

import (
	"fmt"
	"strings"
)

var (
	identEscaper   = strings.NewReplacer("\\", "\\\\", "`", "\\`")
	literalEscaper = strings.NewReplacer("\\", "\\\\", "'", "\\'", "\x00", "\\0")
)

// Ident quotes a ClickHouse identifier; it is the only way that a name enters a statement.
func Ident(name string) string { return "`" + identEscaper.Replace(name) + "`" }

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
