package sql

import (
	"fmt"
	"strconv"
	"strings"
)

// CreateTables returns the statements that create the table's internals when missing.
func (t *Table) CreateTables() []Statement {
	out := []Statement{t.createChunks(Chunks), t.createChunks(Empty), t.once("create_masks.sql"), t.createChanges()}
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

// regionView is the data of create_region_view.sql.
type regionView struct {
	*Table
	Name, From, Comment string
	Columns             []Column
	Lists               []string // of the table's state in the mark; "merged" is the aggregate's
}

// CreateRegionViews returns the statements that create, where they are missing, views of what the newest mark lists of RT, LATE
// and HISTORIC: for people who look into the internals. They have no guard.
func (t *Table) CreateRegionViews() (out []Statement) {
	for _, v := range []struct {
		region Region
		lists  []string
	}{{RT, []string{"rt"}}, {Late, []string{"late"}}, {Historic, []string{"clean", "dirty"}}} {
		out = append(out, t.renderOnce("create_region_view.sql", string(v.region), func() any {
			return regionView{
				Table: t, Name: t.regionView(v.region), From: t.Chunks(), Lists: v.lists, Columns: t.StoredColumns(),
				Comment: fmt.Sprintf("tidemark: what the newest mark lists of %s of %s; query the view instead", strings.ToUpper(string(v.region)), t.Source),
			}
		}))
	}
	return out
}

// dropRegionViews returns the statements that drop those views.
func (t *Table) dropRegionViews() (out []Statement) {
	for _, r := range RowRegions() {
		out = append(out, render(t.Database, "drop_view.sql", map[string]string{"Name": t.regionView(r)}))
	}
	return out
}

// DropTables returns the statements that drop the table's internals.
func (t *Table) DropTables() []Statement {
	out := t.dropRegionViews()
	for _, r := range []Region{Chunks, Empty, Masks, Changes} {
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
	KeyIndex                   bool
}

func (t *Table) createChunks(r Region) Statement {
	chunk := Ident(t.ChunkColumn())
	d := chunksDDL{
		Table: t, Name: t.internal(r), PartitionBy: chunk,
		Comment: fmt.Sprintf("tidemark: chunks of %s; query the view instead", t.Source),
		Columns: t.StoredColumns(), Key: t.Key, OrderBy: t.OrderBy,
	}
	if !t.Mirrored() { // of every part ClickHouse keeps the first and the last date too, which tell what need not be read
		d.PartitionBy = fmt.Sprintf("(if(bitTest(%[1]s, %[2]d), %[3]s, 0), %[1]s)", chunk, SettledBit, t.Period())
	}
	d.KeyIndex = t.keyIndex()
	if r == Empty {
		d.Comment = fmt.Sprintf("tidemark: no row ever; what takes the place of partitions of %s that go", t.Source)
	}
	return t.renderOnce("create_chunks.sql", string(r), func() any { return d })
}

// keyIndex reports whether chunks have indexes of the key: late changes look keys up, and where the sorting key does not lead
// with the key, an index has to. The range tells in which chunks a key may be, where keys grow with time; a filter of 40 million
// keys alone takes 30 ms to be asked. What is rewritten every second does without the filter: NoFilter.
func (t *Table) keyIndex() bool { return !t.Keyless() && t.OrderBy[0] != t.Key[0] }

// NoFilter renders the settings of an INSERT into RT or LATE, after others.
func (t *Table) NoFilter(others ...string) string {
	if t.keyIndex() {
		others = append(others, "exclude_materialize_skip_indexes_on_insert = "+Literal(t.prefix+"key"))
	}
	if len(others) == 0 {
		return ""
	}
	return "\nSETTINGS " + strings.Join(others, ", ")
}

func (t *Table) createChanges() Statement {
	return t.renderOnce("create_changes.sql", "", func() any { return t })
}

// PartitionID is the id of the partition of a chunk that is not cut by periods.
func (t *Table) PartitionID(r Region, chunk uint64) string {
	id := strconv.FormatUint(chunk, 10)
	if r.Home() == Chunks && !t.Mirrored() {
		return "0-" + id
	}
	return id
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
