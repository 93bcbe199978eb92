// Package block turns PostgreSQL's text of values into ClickHouse's native columns, exactly or not at all.
//
// It owns the reading of text, and of the binary format where that is exact, and the checks that a value fits its column; sql.MapType decides which type a column has,
// and cdc pins the settings (DateStyle, TimeZone, bytea_output, extra_float_digits) under which the text is written.
// It knows nothing of tables, chunks or transactions.
//
// clickhouse-go cuts decimals, wraps times and turns nil into zero without an error. So values are encoded here, in the
// layout of the native protocol, checked before they are written, and clickhouse-go's columns are filled with these
// bytes by their Decode method: no value passes through a conversion of the driver, and none is allocated.
package block
