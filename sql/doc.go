// Package sql owns every text that tidemark sends to ClickHouse: one statement per embedded .sql file, rendered for a
// table by the functions of this package, with identifiers passed through Ident and values bound as query parameters.
// It also owns the mapping of PostgreSQL's types to ClickHouse's.
//
// It does not run statements, and it holds no state: what is read and written, and when, belongs to rtwindow, historic
// and splitdate. PostgreSQL's few texts lie with cdc, which knows nothing of ClickHouse.
package sql
