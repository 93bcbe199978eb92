package cdc

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// FullName returns schema.name as people write it: what holds a dot or a quote is in double quotes, so that no two tables
// have one name.
func FullName(schema, name string) string { return namePart(schema) + "." + namePart(name) }

func namePart(part string) string {
	if !strings.ContainsAny(part, `."`) {
		return part
	}
	return quoteName(part)
}

// splitName takes FullName apart.
func splitName(full string) (schema, name string) {
	if rest, quoted := strings.CutPrefix(full, `"`); quoted {
		end := closingQuote(rest)
		schema, name = strings.ReplaceAll(rest[:end], `""`, `"`), strings.TrimPrefix(rest[end:], `".`)
	} else {
		schema, name, _ = strings.Cut(full, ".")
	}
	if rest, quoted := strings.CutPrefix(name, `"`); quoted {
		name = strings.ReplaceAll(rest[:closingQuote(rest)], `""`, `"`)
	}
	return schema, name
}

// closingQuote is where the quote is that is not doubled.
func closingQuote(text string) int {
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		if i+1 == len(text) || text[i+1] != '"' {
			return i
		}
		i++
	}
	return len(text)
}

// quoteTable quotes a FullName for SQL.
func quoteTable(full string) string { return quoteName(splitName(full)) }

// quoteName quotes an identifier, qualified if it has several parts.
func quoteName(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// quoteNames quotes a list of plain identifiers.
func quoteNames(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quoteName(name)
	}
	return strings.Join(quoted, ", ")
}

// quoteLiteral quotes a string under standard_conforming_strings, which Connect pins; the replication grammar reads
// strings the same way.
func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
