package cdc

import (
	"embed"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed queries/*.sql
var queries embed.FS

// query returns the text of queries/<name>.sql. A name that does not exist is a programming error that every use of
// the statement would show.
func query(name string) string {
	text, err := queries.ReadFile("queries/" + name + ".sql")
	if err != nil {
		panic(err)
	}
	return string(text)
}

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
