package sql

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidemark-db/tidemark/internal/fault"
)

// Column is a column of a published table with its ClickHouse type.
type Column struct {
	Name  string // in the internals, where a name is never used for two columns
	Alias string // its name in PostgreSQL and in the view, where that is another one since a schema change
	Type  Type
	Codec string // the arguments of CODEC; "" for ClickHouse's default

	Binary Binary // how PostgreSQL's binary format has its values

	// ExactFrom is when ClickHouse's zone database begins to agree with ours on the zone of a timestamp without one; the
	// zero time is always.
	ExactFrom time.Time
}

// Shown is the column's name in PostgreSQL and in the view.
func (c Column) Shown() string {
	if c.Alias != "" {
		return c.Alias
	}
	return c.Name
}

// Region is what chunks are for. Home is where they lie.
type Region string

// The regions. RT holds live rows with date ≥ the split date (or NULL), LATE and HISTORIC those before it. Masks say
// which rows of HISTORIC are dead, Changes are those of the tick under way.
const (
	RT       Region = "rt"
	Late     Region = "late"
	Historic Region = "historic"
	Masks    Region = "masks"
	Changes  Region = "changes"
)

// Chunks is the internal table in which the rows of RT, LATE and HISTORIC lie together: a view plans one table instead of
// three, and a GROUP BY has one hash table. Which region a chunk is of, a mark alone says. Empty is a table like it that stays
// empty; see ClearPartitions.
const (
	Chunks Region = "chunks"
	Empty  Region = "empty"
)

// Regions lists all regions.
func Regions() []Region { return append(RowRegions(), Masks, Changes) }

// RowRegions lists the regions whose chunks lie in Chunks.
func RowRegions() []Region { return []Region{RT, Late, Historic} }

// Homes lists the internal tables that have chunks.
func Homes() []Region { return []Region{Chunks, Masks, Changes} }

// Home is the region whose text ends the name of the internal table with a region's chunks.
func (r Region) Home() Region {
	if slices.Contains(RowRegions(), r) {
		return Chunks
	}
	return r
}

// SettledBit is the bit of a chunk's number that says that the chunk is cut into partitions by the periods of its dates, as
// those of HISTORIC are. Rows of RT and LATE, whose dates may be anywhere, are not.
const SettledBit = 39

// ownNames are the columns of internal tables besides the source's, without their prefix and sourceName's, and the names that
// statements give to tables: ClickHouse takes a column "t.c" of the source for column c of t.
var ownNames = []string{"chunk", "of", "lsn", "ordinal", "insert", "live", "op", "code", "time", "term", "epoch", "position", "commit_time", "unchanged", "last", "first_is_insert", "outlived", "changes", "newest", "older", "mark", "identity", "hash", "loaded", "here", "there", "side"}

// prefixFor returns a prefix for our columns that none of the source's names has.
func prefixFor(cols []Column) string {
	prefix := ownPrefix
	taken := func(name string) bool {
		own, ok := strings.CutPrefix(name, prefix)
		own, _, _ = strings.Cut(own, ".")
		return ok && (slices.Contains(ownNames, own) || strings.HasPrefix(own, "source_"))
	}
	for slices.ContainsFunc(cols, func(c Column) bool { return taken(c.Name) || taken(c.Shown()) }) {
		prefix += ownPrefix
	}
	return prefix
}

// TableConfig is what a Table is made of. Key empty means that the table has none. Date empty means a mirrored table.
type TableConfig struct {
	Database    Database
	Source      string // schema.table, for messages
	Name        string // of the view
	Columns     []Column
	Key         []string
	Date        string
	OrderBy     []string // default: the key
	PartitionBy string   // hour, day or month; default day
	KeepsOld    bool     // deletes leave rows before an instant alone
	Feed        bool     // every change is kept for a while, readable as a view
	Retains     bool     // rows before an instant are dropped, whatever the source has

	// Since and Narrowed are positions in the WAL: the columns are those of rows after Since, and Narrowed is the last
	// one at which a column went.
	Since, Narrowed uint64
}

// Table renders the statements of one published table. It is safe for concurrent use.
type Table struct {
	TableConfig
	date    Column
	prefix  string // of our columns
	keyless bool

	mu       sync.Mutex
	rendered map[string]Statement
}

// NewTable checks the configuration and returns the table.
func NewTable(c TableConfig) (*Table, error) {
	t := &Table{TableConfig: c, prefix: prefixFor(c.Columns), keyless: len(c.Key) == 0, rendered: map[string]Statement{}}
	for _, col := range c.Columns {
		if col.Name == c.Date && c.Date != "" {
			t.date = col
		}
	}
	if c.Date != "" && t.date.Name == "" {
		return nil, fmt.Errorf("table %s has no column %q", c.Source, c.Date)
	}
	if t.keyless { // its rows are identified by where the WAL brought them
		t.Key = []string{t.prefix + "lsn", t.prefix + "ordinal"}
	}
	if len(t.OrderBy) == 0 {
		t.OrderBy = t.Key
	}
	if t.PartitionBy == "" {
		t.PartitionBy = "day"
	}
	return t, nil
}

// maxFileName is what ClickHouse leaves for the names of a database and a table in that of the file of a dropped table:
// 255 bytes without a UUID, an ending and the dots.
const maxFileName = 255 - 42

// CheckName returns an error if the view's name is too long for ClickHouse.
func (t *Table) CheckName() error {
	n := fileNameBytes(string(t.Database)) + fileNameBytes(t.Name)
	if n <= maxFileName {
		return nil
	}
	return fault.New("rename the table or its schema, or leave it out",
		"table %s: its view's name takes %d bytes in the names of ClickHouse's files, %d too many", t.Source, n, n-maxFileName)
}

// regionPrefix begins the names of the internal tables: the view's name, or a digest where that would be too long.
func (t *Table) regionPrefix() string {
	if fileNameBytes(t.Database.Internals())+fileNameBytes(t.Name)+longestRegion <= maxFileName {
		return t.Name
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(t.Name)))[:16]
}

// longestRegion is the length of what Regions add to a name.
const longestRegion = len("_historic")

// Keyless reports whether the rows are identified by their WAL position alone.
func (t *Table) Keyless() bool { return t.keyless }

// ChunkColumn is the name of the column that says which chunk a row belongs to.
func (t *Table) ChunkColumn() string { return t.prefix + "chunk" }

// columnPrefix is what templates put before the names of our columns.
func (t *Table) columnPrefix() string { return t.prefix }

// Renamed reports whether a column has another name in the internals than in the view.
func (t *Table) Renamed() bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Alias != "" })
}

// Rows is what aggregates are computed from: a region, its columns under the names of the view. Where restricts it.
func (t *Table) Rows(from, where string) string {
	if !t.Renamed() {
		return from + "\nWHERE " + where
	}
	return "(SELECT " + mapJoin(t.Columns, shownColumn) + ", " + Ident(t.ChunkColumn()) + " FROM " + from + " WHERE " + where + ")\nWHERE 1"
}

// Mirrored reports whether the table has no date column.
func (t *Table) Mirrored() bool { return t.Date == "" }

// DateType returns the type of the date column.
func (t *Table) DateType() Type { return t.date.Type }

// View is the quoted name of the view that people query.
func (t *Table) View() string { return qualified(string(t.Database), t.Name) }

// RegionName is the unquoted name of the table with a region's chunks in the database of the internals.
func (t *Table) RegionName(r Region) string { return t.regionPrefix() + "_" + string(r.Home()) }

func (t *Table) internal(r Region) string { return qualified(t.Database.Internals(), t.RegionName(r)) }

// regionView is the quoted name of the view of what the newest mark lists of a region.
func (t *Table) regionView(r Region) string {
	return qualified(t.Database.Internals(), t.regionPrefix()+"_"+string(r))
}

// Chunks is the quoted name of the internal table, as the templates use it.
func (t *Table) Chunks() string { return t.internal(Chunks) }

// Masks is the quoted name of the internal table.
func (t *Table) Masks() string { return t.internal(Masks) }

// FeedTable is the quoted name of the internal table of the change feed.
func (t *Table) FeedTable() string { return t.internal("feed") }

// FeedName is the name of the view of the change feed, FeedView the quoted one.
func (t *Table) FeedName() string { return t.Name + FeedSuffix }

// FeedSuffix ends the name of the view of a change feed.
const FeedSuffix = "_changes"

// FeedView is the quoted name of the view of the change feed.
func (t *Table) FeedView() string { return qualified(string(t.Database), t.FeedName()) }

// Changes is the quoted name of the internal table.
func (t *Table) Changes() string { return t.internal(Changes) }

// StoredColumns are the columns of a chunk besides _chunk: the table's own, and the WAL position of keyless rows.
func (t *Table) StoredColumns() []Column {
	if !t.Keyless() {
		return t.Columns
	}
	return append(append([]Column{}, t.Columns...), t.KeyColumns()...)
}

// Stored are the names of StoredColumns.
func (t *Table) Stored() []string { return names(t.StoredColumns()) }

// KeyColumns are the key's columns with their types.
func (t *Table) KeyColumns() []Column {
	if t.Keyless() {
		u64 := Type{Name: "UInt64", Kind: KindUInt64}
		return []Column{{Name: t.Key[0], Type: u64}, {Name: t.Key[1], Type: u64}}
	}
	out := make([]Column, 0, len(t.Key))
	for _, k := range t.Key {
		for _, c := range t.Columns {
			if c.Name == k {
				out = append(out, c)
			}
		}
	}
	return out
}

// HasMasks reports whether the masks, whose columns are given, are of this key.
func (t *Table) HasMasks(columns []string) bool {
	return slices.Equal(columns, append([]string{t.prefix + "chunk", t.prefix + "of"}, names(t.KeyColumns())...))
}

// SourceColumns are the columns of the changes that hold the key of the row that unchanged TOAST values come from.
func (t *Table) SourceColumns() []Column {
	out := append([]Column{}, t.KeyColumns()...)
	for i := range out {
		out[i].Name = sourceName(t.prefix, i)
	}
	return out
}

func names(cols []Column) []string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = c.Name
	}
	return out
}

// name is the key of the table in the mark.
func (t *Table) name() string { return t.Name }

// Comment says in ClickHouse whose view it is: what has no comment of ours is never replaced (ListForeign).
func (t *Table) Comment() string { return "tidemark: view of " + t.Source }

// NotYet and Outlived are the messages of the view's first and last branch.
func (t *Table) NotYet() string {
	return "tidemark: " + t.Source + " is not loaded yet, or held until it can be loaded again; tidemark status shows its progress"
}

// NoPruning is what a query is told whose session turned off what the view needs to leave dead chunks out.
func (t *Table) NoPruning() string {
	return "tidemark: set use_partition_pruning to 1, or the view cannot tell live chunks from dead ones"
}

// Changed is what a query is told that took the view before a schema change and the mark after it, or the other way round.
func (t *Table) Changed() string {
	return "tidemark: the columns of " + t.Source + " changed while this query was planned; run it again"
}

// Outlived is what a query is told whose chunks are gone.
func (t *Table) Outlived() string {
	return "tidemark: this query outlived its data; run it again, or raise limits.max_query_age"
}

// renderOnce renders a file once per variant.
func (t *Table) renderOnce(file, variant string, data func() any) Statement {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.rendered[file+variant]
	if !ok {
		s = render(t.Database, file, data())
		t.rendered[file+variant] = s
	}
	return s
}

func (t *Table) once(file string) Statement {
	return t.renderOnce(file, "", func() any { return t })
}
