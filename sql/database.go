package sql

// Database names the two ClickHouse databases of one bridge: the one people query and the one of the internals.
type Database string

// Internals is the name of the database that holds chunks, masks and changes.
func (d Database) Internals() string { return string(d) + "_tidemark" }

// SplitDate is the quoted name of the table of marks.
func (d Database) SplitDate() string { return qualified(string(d), "split_date") }

// SplitDateLog is the quoted name of the table of marks that no query needs any more.
func (d Database) SplitDateLog() string { return qualified(d.Internals(), "split_date_log") }

// Writers is the quoted name of the table of terms.
func (d Database) Writers() string { return qualified(d.Internals(), "writers") }

// SplitDateCurrent is the quoted name of the view of the newest mark, for people.
func (d Database) SplitDateCurrent() string { return qualified(string(d), "split_date_current") }

// ReservedNames are the names in the database of the views that a table of the source cannot take.
func ReservedNames() []string { return []string{"split_date", "split_date_current"} }

// Verified is the quoted name of the table of what was compared with PostgreSQL, and when.
func (d Database) Verified() string { return qualified(d.Internals(), "verified") }

// Partitions is the quoted name of the table of the partitions in PostgreSQL that partitioned tables have.
func (d Database) Partitions() string { return qualified(d.Internals(), "partitions") }

// CreateDatabases returns the statements that create both databases when missing.
func (d Database) CreateDatabases() []Statement {
	var out []Statement
	for _, name := range []string{string(d), d.Internals()} {
		out = append(out, render(d, "create_database.sql", map[string]string{"Name": name}))
	}
	return out
}

// Shapes is the quoted name of the table of the columns that tables have or had.
func (d Database) Shapes() string { return qualified(d.Internals(), "shapes") }

// InsertShape returns the statement that keeps the columns of a table under a number. Parameters: shape, table, columns (in hex).
func (d Database) InsertShape() Statement { return d.render("insert_shape.sql") }

// ListShapes returns the statement that reads columns by their number. Parameter: shapes.
func (d Database) ListShapes() Statement { return d.render("list_shapes.sql") }

// CreateMarks returns the statements that create the tables of marks, of terms, of shapes, of comparisons and of partitions.
func (d Database) CreateMarks() []Statement {
	return []Statement{d.render("create_split_date.sql"), d.render("create_split_date_log.sql"), d.render("create_writers.sql"), d.render("create_shapes.sql"), d.render("create_verified.sql"), d.render("create_partitions.sql")}
}

// AddMasked returns the statements that give the tables of marks what format 2 has more than format 1.
func (d Database) AddMasked() []Statement {
	return []Statement{
		render(d, "add_masked.sql", map[string]string{"Name": d.SplitDate()}),
		render(d, "add_masked.sql", map[string]string{"Name": d.SplitDateLog()}),
	}
}

// InsertWriter returns the statement that begins a term. Parameters: term, writer.
func (d Database) InsertWriter() Statement { return d.render("insert_writer.sql") }

// NewestWriters returns the statement that reads the newest term and all who began it, no row if there is none.
func (d Database) NewestWriters() Statement { return d.render("newest_writers.sql") }

// InsertVerified returns the statement that keeps what a comparison found. Parameters: table, since, until, lsn, rows,
// differences.
func (d Database) InsertVerified() Statement { return d.render("insert_verified.sql") }

// ListVerified returns the statement that lists what is known of each range.
func (d Database) ListVerified() Statement { return d.render("list_verified.sql") }

// InsertPartitions returns the statement that keeps which partitions a table has. Parameters: table, leaves (JSON).
func (d Database) InsertPartitions() Statement { return d.render("insert_partitions.sql") }

// ListPartitions returns the statement that lists the partitions of every partitioned table.
func (d Database) ListPartitions() Statement { return d.render("list_partitions.sql") }

// CreateCurrent returns the statement that creates split_date_current; it needs a mark to exist.
func (d Database) CreateCurrent() Statement { return d.render("create_split_date_current.sql") }

// ReadMark returns the statement that reads the newest mark.
func (d Database) ReadMark() Statement { return d.render("read_mark.sql") }

// ReadMarkFormat returns the statement that reads the newest mark's format alone, which every version can read.
func (d Database) ReadMarkFormat() Statement { return d.render("read_mark_format.sql") }

// NewestMark returns the statement that reads the newest mark's term, epoch and time of writing.
func (d Database) NewestMark() Statement { return d.render("newest_mark.sql") }

// ListMarks returns the statement that lists the marks still kept.
func (d Database) ListMarks() Statement { return d.render("list_marks.sql") }

// InsertMark returns the statement that publishes a mark if the newest one is still the one it follows and no newer term
// has begun. Parameters: format, term, epoch, lsn, commit_time, source, tables, chunks, aggregates, states, masked,
// previous_term, previous_epoch.
func (d Database) InsertMark() Statement { return d.render("insert_mark.sql") }

// ArchiveMarks returns the statement that copies a partition of split_date to its log. Parameter: partition.
func (d Database) ArchiveMarks() Statement { return d.render("archive_marks.sql") }

// ListChunks returns the statement that lists the partitions of the internals. Parameter: database.
func (d Database) ListChunks() Statement { return d.render("list_chunks.sql") }

// OldestQuery returns the statement that reads the server's clock and the start of the oldest query that is not
// ours, both in µs since the epoch. Parameter: prefix of our query ids.
func (d Database) OldestQuery() Statement { return d.render("oldest_query.sql") }

// KillOlderTerms returns the statement that ends and awaits the statements of other writers, but for those whose rows come
// from the writer: one that is paused would be waited for until ClickHouse's receive_timeout (300 s), and no mark is written
// like this. Parameters: prefix of all our query ids, current prefix of this term's.
func (d Database) KillOlderTerms() Statement { return d.render("kill_older_terms.sql") }

// DropMarks returns the statement that drops partitions of split_date.
func (d Database) DropMarks(ids []string) Statement {
	return render(d, "drop_partitions.sql", map[string]any{"Name": d.SplitDate(), "Partitions": ids})
}

func (d Database) render(file string) Statement { return render(d, file, d) }

// FindTable returns the statement that counts tables of a name: 0 or 1. Parameters: database, name.
func (d Database) FindTable() Statement { return d.render("find_table.sql") }

// ListForeign returns the statement that lists what has one of our names and is not ours: name, engine. Parameters:
// database, names.
func (d Database) ListForeign() Statement { return d.render("list_foreign.sql") }

// FindDatabase returns the statement that reads a database's engine, if there is such a database. Parameter: name.
func (d Database) FindDatabase() Statement { return d.render("find_database.sql") }

// ListColumns returns the statement that lists a table's columns and types in order. Parameters: database, table.
func (d Database) ListColumns() Statement { return d.render("list_columns.sql") }

// DropView returns the statement that drops the view of a table that is no longer configured.
func (d Database) DropView(name string) Statement {
	return render(d, "drop_view.sql", map[string]string{"Name": qualified(string(d), name)})
}

// Drop returns the statements that remove all that tidemark created, but for the database of the views, which may hold
// other things. views are the names of the tables' views.
func (d Database) Drop(views []string) []Statement {
	var out []Statement
	for _, v := range append(append([]string{}, views...), "split_date_current") {
		out = append(out, d.DropView(v))
	}
	return append(out,
		render(d, "drop_table.sql", map[string]string{"Name": d.SplitDate()}),
		render(d, "drop_internals.sql", d))
}

// Privileges are what the bridge needs in its two databases.
func Privileges() []string {
	return []string{"SELECT", "INSERT", "CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "DROP VIEW", "ALTER DELETE", "ALTER ADD COLUMN"}
}

// CheckGrant returns the statement that asks whether this user has a privilege in a database.
func (d Database) CheckGrant(privilege, database string) Statement {
	return render(d, "check_grant.sql", map[string]string{"Privilege": privilege, "Database": database, "Table": ""})
}

// ReplacedViews are the names under which CREATE OR REPLACE VIEW drops the view that it has replaced.
const ReplacedViews = "_tmp_replace_"

// CheckReplace returns the statement that asks whether this user may replace a view.
func (d Database) CheckReplace() Statement {
	return render(d, "check_grant.sql", map[string]string{"Privilege": "DROP TABLE", "Database": string(d), "Table": ReplacedViews})
}

// ServerClock returns the statement that reads the server's clock in µs since the epoch.
func (d Database) ServerClock() Statement { return d.render("server_clock.sql") }

// SelfCheck returns a query over views, given by their quoted names, that reads the mark many times if the server does
// not read it once.
func (d Database) SelfCheck(views []string) Statement {
	return render(d, "self_check.sql", map[string]any{"Views": views, "SplitDateCurrent": d.SplitDateCurrent()})
}

// ListDefiners returns the statement that lists views over ours with a definer. Parameter: database.
func (d Database) ListDefiners() Statement { return d.render("list_definers.sql") }

// ShowInstants returns the statement that shows instants, in µs since the epoch, as wall clocks of a zone. Parameter:
// micros.
func (d Database) ShowInstants(zone string) Statement {
	return render(d, "show_instants.sql", map[string]string{"Zone": zone})
}
