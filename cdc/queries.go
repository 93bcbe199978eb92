package cdc

import "embed"

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
