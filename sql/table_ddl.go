package sql

import "fmt"

// CreateTables returns the statements that create the table's internals when missing.
func (t *Table) CreateTables() []Statement {
	out := []Statement{
		t.createChunks(RT), t.createChunks(Late), t.createChunks(Historic),
		t.once("create_masks.sql"), t.createChanges(),
	}
	if t.Feed {
		out = append(out, t.once("create_feed.sql"))
	}
	return out
}

// CreateFeedView returns the statement that creates the view of the change feed.
func (t *Table) CreateFeedView() Statement { return t.once("create_feed_view.sql") }

// DropFeed returns the statements that drop the change feed and its view.
func (t *Table) DropFeed() []Statement {
	return []Statement{
		render(t.Database, "drop_view.sql", map[string]string{"Name": t.FeedView()}),
		render(t.Database, "drop_table.sql", map[string]string{"Name": t.FeedTable()}),
	}
}

// DropTables returns the statements that drop the table's internals.
func (t *Table) DropTables() (out []Statement) {
	for _, r := range Regions() {
		out = append(out, render(t.Database, "drop_table.sql", map[string]string{"Name": t.internal(r)}))
	}
	if t.Feed {
		out = append(out, t.DropFeed()[1])
	}
	return out
}

// CreateView returns the statement that creates the view. Until a mark lists the table, the view answers with an error.
func (t *Table) CreateView() Statement { return t.once("create_view.sql") }

// HoldView returns the statement that has the view answer with an error, and read nothing, while its internals are made anew.
func (t *Table) HoldView() Statement { return t.once("hold_view.sql") }

// chunksDDL is the data of create_chunks.sql.
type chunksDDL struct {
	*Table
	Name, PartitionBy, Comment string
	Columns                    []Column
	Key, OrderBy               []string
	KeyIndex, DateIndex        bool
}

func (t *Table) createChunks(r Region) Statement {
	chunk := Ident(t.ChunkColumn())
	d := chunksDDL{
		Table: t, Name: t.internal(r), PartitionBy: chunk,
		Comment: fmt.Sprintf("tidemark: %s chunks of %s; query the view instead", r, t.Source),
		Columns: t.StoredColumns(), Key: t.Key, OrderBy: t.OrderBy,
	}
	if r == Historic {
		if !t.Mirrored() {
			d.PartitionBy = "(" + t.Period() + ", " + chunk + ")"
		}
		// Late changes look keys up; where the sorting key does not lead with the key, an index has to.
		d.KeyIndex = !t.Keyless() && t.OrderBy[0] != t.Key[0]
	} else { // the periods of HISTORIC tell what need not be read of it
		d.DateIndex = !t.Mirrored()
	}
	return t.renderOnce("create_chunks.sql", string(r), func() any { return d })
}

func (t *Table) createChanges() Statement {
	return t.renderOnce("create_changes.sql", "", func() any { return t })
}

// Period renders the partition of HISTORIC that a row belongs to, as an integer: the ids of such partitions are
// readable, and end with the chunk.
func (t *Table) Period() string {
	date := Ident(t.Date)
	if t.date.Type.Nullable {
		date = "assumeNotNull(" + date + ")"
	}
	switch t.PartitionBy {
	case "month":
		return "toYYYYMM(" + date + ")"
	case "hour":
		return "toYYYYMMDD(" + date + ") * 100 + toHour(" + date + ")"
	default:
		return "toYYYYMMDD(" + date + ")"
	}
}

// PeriodNumber is Period as an Int64; a mirrored table has one period.
func (t *Table) PeriodNumber() string {
	if t.Mirrored() {
		return "toInt64(0)"
	}
	return "toInt64(" + t.Period() + ")"
}
