package sql

import "fmt"

// Statements of a tick, a roll and a load. Chunk numbers, chunk lists and the split date are bound as parameters:
// to, from, pieces, rt, late, historic, masks, chunks (UInt64 or Array(UInt64)) and split (µs since the epoch, UTC).

// DropPartitions drops the partitions with these ids of a region.
func (t *Table) DropPartitions(r Region, ids []string) Statement {
	if r.Home() == Chunks {
		return clearPartitions(t.Database, t.internal(Chunks), t.internal(Empty), ids)
	}
	return t.DropPlainly(r, ids)
}

// DropPlainly is DropPartitions by the statement of that name, for a table that is not like the empty one.
func (t *Table) DropPlainly(r Region, ids []string) Statement {
	return render(t.Database, "drop_partitions.sql", map[string]any{"Name": t.internal(r), "Partitions": ids})
}

// clearPartitions replaces partitions by those of an empty table, which are none: DROP PARTITION breaks off every merge of the
// table, and one of a large chunk of HISTORIC would never end beside the drops of each second.
func clearPartitions(d Database, name, empty string, ids []string) Statement {
	return render(d, "clear_partitions.sql", map[string]any{"Name": name, "Empty": empty, "Partitions": ids})
}

// InsertChanges takes a piece of changes: the table's columns, _chunk, _lsn, _ordinal, _insert, _live.
func (t *Table) InsertChanges() Statement { return t.once("insert_changes.sql") }

// InsertFeed puts pieces of the changes into the change feed. Parameters: pieces, term, epoch.
func (t *Table) InsertFeed() Statement { return t.once("insert_feed.sql") }

// NoteFeed puts an entry without a row into the change feed: op 76 (load) or 84 (truncate). Parameters: op, lsn, time (µs since
// the epoch, UTC), term, epoch.
func (t *Table) NoteFeed() Statement { return t.once("note_feed.sql") }

// DropFeedDays drops days, as YYYYMMDD, of the change feed.
func (t *Table) DropFeedDays(days []string) Statement {
	return render(t.Database, "drop_partitions.sql", map[string]any{"Name": t.FeedTable(), "Partitions": days})
}

// InsertUnresolved takes changes with TOAST values that the WAL left out: the columns of InsertChanges, then _unchanged
// and the key of the row that the values come from.
func (t *Table) InsertUnresolved() Statement { return t.once("insert_unresolved.sql") }

// InsertChunk takes rows of a chunk: the stored columns, then _chunk.
func (t *Table) InsertChunk() Statement {
	return t.once("insert_chunk.sql")
}

// Locate counts the changes' rows by side ("new_rt", "new_late") and finds which chunks of RT and LATE ("here") hold the rows
// that the changes touch. Parameters: rt, late, pieces, split.
func (t *Table) Locate() Statement { return t.sided("locate.sql", t.rtSide()) }

// CountLookups counts the keys of the pieces that were there before. Parameter: pieces.
func (t *Table) CountLookups() Statement { return t.once("count_lookups.sql") }

// CountChanges counts the rows of one piece. Parameter: piece.
func (t *Table) CountChanges() Statement { return t.once("count_changes.sql") }

// CheckInvariants counts what breaks an invariant at the newest mark: seven numbers, all 0. Parameter: split.
func (t *Table) CheckInvariants() Statement {
	settled := t.rtSide()
	if t.Mirrored() {
		settled = "0"
	}
	return t.renderOnce("check_invariants.sql", "", func() any {
		return struct {
			*Table
			Side, SettledSide string
		}{t, t.rtSide(), settled}
	})
}

// MaskHistoric masks the rows of HISTORIC that the changes touch. Parameters: to, historic, masks, pieces.
func (t *Table) MaskHistoric() Statement { return t.once("mask_historic.sql") }

// CountMasks counts masks by the chunk that they lie on. Parameter: chunks.
func (t *Table) CountMasks() Statement { return t.once("count_masks.sql") }

// MergeMasks makes one chunk of masks of several. Parameters: to, from.
func (t *Table) MergeMasks() Statement { return t.once("merge_masks.sql") }

// CompactChanges makes one piece with one row per key of several, of one slice of the keys. Parameters: to, pieces, those of
// InSlice, maybe_there, of tables that keep old rows historic, masks, late and keep, of those that
// retain rows oldest.
func (t *Table) CompactChanges() Statement { return t.once("compact_changes.sql") }

// ResolveUnchanged fills in the TOAST values that the WAL left out. Parameters: to, from, pieces, rt, late, historic,
// masks.
func (t *Table) ResolveUnchanged() Statement { return t.once("resolve_unchanged.sql") }

// Rewrite makes new chunks of RT or LATE: one of the rows of some chunks without what the changes touch, one of the changes' rows
// of that side. Where there are many, several threads sort and write them, each a part of its own, which costs more than it
// gains where there are few. Parameters: from, to, fresh, pieces, split.
func (t *Table) Rewrite(r Region, many bool) Statement {
	side := t.rtSide()
	if r == Late {
		side = "NOT " + side
	}
	var threads []string
	if many {
		threads = []string{"max_insert_threads = 4"}
	}
	return t.renderOnce("rewrite.sql", fmt.Sprint(r, many), func() any {
		return struct {
			*Table
			Side, Settings string
		}{t, side, t.NoFilter(threads...)}
	})
}

// Thin is Rewrite of one chunk to one chunk, without new rows, and in the chunk's order. Parameters: from, to, pieces.
func (t *Table) Thin() Statement {
	return t.renderOnce("rewrite.sql", "thin", func() any {
		return struct {
			*Table
			Side, Settings string
		}{t, "", t.NoFilter("max_threads = 1")}
	})
}

// Roll copies the rows of RT before the split date to HISTORIC, all of them for a mirrored table. Parameters: to, from,
// split.
func (t *Table) Roll() Statement { return t.sided("roll.sql", t.rollSide()) }

// Keep copies the rows of RT that a roll leaves to a new chunk; those without a date, or with one from far on, to another
// one, which the next rolls need not touch. Parameters: to, from, split, apart, far.
func (t *Table) Keep() Statement { return t.sided("keep.sql", t.rollSide()) }

// RollChecksum counts and sums up hashes of what Roll takes from RT, or of what it wrote to HISTORIC. Parameters:
// chunks, split.
func (t *Table) RollChecksum(r Region) Statement {
	where := "1"
	if r == RT {
		where = "NOT " + t.rollSide()
	}
	return t.renderOnce("checksum.sql", string(r), func() any {
		return struct {
			*Table
			Where string
		}{t, where}
	})
}

// Fold writes the live rows of HISTORIC chunks, and rows of LATE, to one new chunk per period. Parameters: periods, to (a
// chunk for each), from, masks, late.
func (t *Table) Fold() Statement { return t.fold("fold.sql", false) }

// FoldPeriods lists the periods that Fold has rows of. Parameters: from, late.
func (t *Table) FoldPeriods() Statement { return t.fold("fold_periods.sql", false) }

// FoldRest is Fold of the rows outside a range alone. Parameters: those of Fold, and those of the range.
func (t *Table) FoldRest() Statement { return t.fold("fold.sql", true) }

// FoldRestPeriods lists the periods that FoldRest has rows of. Parameters: from, late, and those of the range.
func (t *Table) FoldRestPeriods() Statement { return t.fold("fold_periods.sql", true) }

func (t *Table) fold(file string, rest bool) Statement {
	return t.renderOnce(file, fmt.Sprint(rest), func() any {
		return struct {
			*Table
			Rest bool
		}{t, rest}
	})
}

// ChunksInRange lists the chunks of HISTORIC with rows in a range. Parameters: historic, and those of the range.
func (t *Table) ChunksInRange() Statement { return t.once("chunks_in_range.sql") }

// Compare counts, and sums up hashes of, the rows of a range that did not change since a barrier: as they are live, and as
// they were loaded. Parameters: historic, masks, late, rt (live), loaded_historic, loaded_rt, those of the range and those
// of Unchanged.
func (t *Table) Compare() Statement { return t.once("compare.sql") }

// Differ lists the keys that Compare finds different, with how often they are live and how often they were loaded.
// Parameters: those of Compare, and limit.
func (t *Table) Differ() Statement { return t.once("differ.sql") }

// Replace makes a chunk of RT or LATE: its rows but for those of a range that did not change since a barrier, and in their
// place the loaded ones that did not. Parameters: to, from, loaded, those of the range and those of Unchanged.
func (t *Table) Replace() Statement { return t.once("replace.sql") }

// InRange renders whether a row's date lies in a range. Parameters: since and until (µs since the epoch, UTC), open_start
// and open_end (1 where there is no such bound; rows without a date lie in a range with an open end).
func (t *Table) InRange() string {
	if t.Mirrored() {
		return "1"
	}
	in := fmt.Sprintf("({open_start:UInt8} OR %[1]s >= %[2]s) AND ({open_end:UInt8} OR %[1]s < %[3]s)",
		Ident(t.Date), t.bound("since"), t.bound("until"))
	if t.date.Type.Nullable {
		in = "ifNull(" + in + ", {open_end:UInt8})"
	}
	return "(" + in + ")"
}

// Leaves renders whether a live row of HISTORIC or LATE has to be among the loaded ones of a range, or else goes: it lies in the
// range, and is not of those that stay although the source has deleted them. Parameters: those of InRange; keep (µs since
// the epoch, UTC) and loaded_historic, of tables that keep old rows.
func (t *Table) Leaves() string {
	if !t.KeepsOld {
		return t.InRange()
	}
	key := tuple(mapJoin(t.Key, Ident), len(t.Key))
	return fmt.Sprintf("(%s AND (NOT %s OR %s IN (SELECT %s FROM %s WHERE indexHint(%s IN {loaded_historic:Array(UInt64)}))))",
		t.InRange(), t.Old(), key, mapJoin(t.Key, Ident), t.Chunks(), Ident(t.ChunkColumn()))
}

// Old renders whether a row is kept although the source deletes it. Parameter: keep.
func (t *Table) Old() string {
	old := Ident(t.Date) + " < " + t.bound("keep")
	if t.date.Type.Nullable {
		old = "ifNull(" + old + ", 0)"
	}
	return "(" + old + ")"
}

// InSlice renders whether a row's key, of the named table, is of a slice of the keys. Parameters: first, last (the smallest and
// the largest hash).
func (t *Table) InSlice(alias string) string {
	key := mapJoin(t.Key, Ident)
	if alias != "" {
		key = prefixedColumns(alias, t.KeyColumns())
	}
	return "cityHash64(" + key + ") BETWEEN {first:UInt64} AND {last:UInt64}"
}

// Deleted is the code of a DELETE in the changes.
func (t *Table) Deleted() int { return 'D' }

// Retained renders whether a row is young enough to be there at all. Parameter: oldest (µs since the epoch, UTC).
func (t *Table) Retained() string {
	young := Ident(t.prefix+"changes") + "." + Ident(t.Date) + " >= " + t.bound("oldest")
	if t.date.Type.Nullable {
		young = "ifNull(" + young + ", 1)"
	}
	return "(" + young + ")"
}

// Unchanged renders whether a row did not change since a barrier. Parameters: journal, the pieces of the ticks since;
// barrier, its LSN: rows without a key never change, and carry the position that brought them.
func (t *Table) Unchanged() string {
	if t.Keyless() {
		return Ident(t.prefix+"lsn") + " < {barrier:UInt64}"
	}
	key := tuple(mapJoin(t.Key, Ident), len(t.Key))
	return fmt.Sprintf("%s NOT IN (SELECT %s FROM %s WHERE %s IN {journal:Array(UInt64)})", key, mapJoin(t.Key, Ident), t.Changes(), Ident(t.ChunkColumn()))
}

// Identity renders what names a row for people, an array of texts: its key's values, or all values where it has no key.
func (t *Table) Identity() string {
	cols := t.KeyColumns()
	if t.Keyless() {
		cols = t.Columns
	}
	return "[" + mapJoin(cols, func(c Column) string {
		if c.Type.Nullable {
			return "ifNull(toString(" + Ident(c.Name) + "), 'NULL')"
		}
		return "toString(" + Ident(c.Name) + ")"
	}) + "]"
}

// FoldMasks makes one chunk of the masks that a fold leaves: those of other chunks, and those of rows in the folded chunks
// that changed meanwhile. Parameters: to, masks, from, built, journal.
func (t *Table) FoldMasks() Statement { return t.once("fold_masks.sql") }

// KeepLate makes a chunk of the rows of LATE that a fold leaves: those that were not frozen, and those that changed
// meanwhile. Parameters: to, from, frozen, journal.
func (t *Table) KeepLate() Statement { return t.once("keep_late.sql") }

// CountChunks counts the rows of chunks and gives the range of their dates in µs since the epoch; a chunk with rows
// that never settle has no end. Where a date cannot be NULL, no row is read for it: ClickHouse keeps the first and the last date of
// each part. Parameter: chunks.
func (t *Table) CountChunks() Statement {
	from, to := "toInt64(0)", "toInt64(0)"
	if !t.Mirrored() {
		from, to = t.instant("min("+Ident(t.Date)+")"), t.instant("max("+Ident(t.Date)+")")
		if t.date.Type.Nullable {
			from = fmt.Sprintf("ifNull(%s, %d)", from, maxInstant)
			to = fmt.Sprintf("assumeNotNull(if(count(%s) < count(), %d, %s))", Ident(t.Date), maxInstant, to)
		}
	}
	return t.renderOnce("count_chunks.sql", "", func() any {
		return struct {
			*Table
			From, To string
		}{t, from, to}
	})
}

// maxInstant is the end of a chunk that holds rows without a date.
const maxInstant = int64(1)<<62 - 1

// Instant renders the date column as µs since the epoch.
func (t *Table) Instant() string { return t.instant(Ident(t.Date)) }

func (t *Table) instant(date string) string {
	if t.dateOnly() {
		date = fmt.Sprintf("toDateTime64(%s, 6, %s)", date, Literal(t.date.Type.Zone.String()))
	}
	return "toUnixTimestamp64Micro(" + date + ")"
}

func (t *Table) dateOnly() bool {
	return t.date.Type.Kind == KindDate || t.date.Type.Kind == KindDate32
}

// rtSide renders the total function from a row to its side of the split date: 1 is RT.
func (t *Table) rtSide() string {
	if t.Mirrored() {
		return "1"
	}
	side := Ident(t.Date) + " >= " + t.bound("split")
	if t.date.Type.Nullable {
		side = "ifNull(" + side + ", 1)"
	}
	return "(" + side + ")"
}

// bound renders a parameter, in µs since the epoch, as a value that the date column compares with. A row of a day has the day's
// first instant, so that no row lies between a bound within a day and the next day.
func (t *Table) bound(param string) string {
	if !t.dateOnly() {
		return fmt.Sprintf("fromUnixTimestamp64Micro({%s:Int64}, 'UTC')", param)
	}
	zone := Literal(t.date.Type.Zone.String())
	at := fmt.Sprintf("fromUnixTimestamp64Micro({%s:Int64}, %s)", param, zone)
	return fmt.Sprintf("(toDate32(%[1]s) + (toDateTime64(toDate32(%[1]s), 6, %[2]s) < %[1]s))", at, zone)
}

// rollSide is rtSide, but for a mirrored table, which rolls as a whole when it has grown.
func (t *Table) rollSide() string {
	if t.Mirrored() {
		return "0"
	}
	return t.rtSide()
}

func (t *Table) sided(file, side string) Statement {
	return t.renderOnce(file, "", func() any {
		return struct {
			*Table
			Side string
		}{t, side}
	})
}
