// Package splitdate owns the mark: the one row of split_date that says, for all tables at once, which chunks are live,
// where each table's split date is, and which position of the source they show. Publishing a mark is the only commit
// point of tidemark, and the newest mark in ClickHouse is authoritative about everything.
//
//	Mark n ──Next(position, deltas)──▶ Mark n+1 ──Check──▶ Store.Publish ──▶ readers
//	  ▲          pure, copies             │         INSERT … WHERE the newest is still n and no newer term has begun
//	  └─────────── Store.Newest ◀───────────┘
//
// Invariants, held by Table.Apply, Mark.Next and Check:
//
//   - epochs, LSNs and split dates never go back; terms never go back;
//   - a chunk stands in exactly one list of one table, and its number, which carries the term, is never used twice;
//   - the rows of every listed chunk are known, and their sum is what a view's guard compares;
//   - RT holds no date before the split date, HISTORIC and LATE none at or after it.
//
// Failure handling: a mark is inserted on condition that the newest mark is the one it follows. A writer that was
// overtaken writes no row and gets ErrFenced; a writer that does not know whether its insert arrived gets an error, and
// the restart reads what is there. Chunks that no mark lists do not exist for any reader: a crash leaves garbage, never
// damage. When a chunk that is no longer listed may be dropped is decided here too (Retention).
//
// The package knows nothing of rows: what lies in a chunk belongs to rtwindow and historic.
package splitdate
