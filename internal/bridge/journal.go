package bridge

import (
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// journal is what ticks changed in a table since something began to be built of it beside them: a fold, or a range that is
// read again. A table has one at most. What the builder froze stays until the journal ends, listed by a mark or not.
type journal struct {
	pieces []splitdate.Chunk
	void   bool // the table was truncated since
}

// beginJournal begins a table's journal and keeps chunks for its builder.
func (s *session) beginJournal(t *table, frozen []splitdate.Chunk) {
	t.journal = &journal{}
	s.keeper.pin(t.sql, frozen)
}

// endJournal ends a table's journal: its pieces and what its builder wrote in vain are garbage.
func (s *session) endJournal(t *table) {
	s.keeper.discard(placeOf(t.sql, sql.Changes), t.journal.pieces)
	s.keeper.unpin(t.sql)
	t.journal = nil
}

// busy reports whether something is being built of the table.
func (t *table) busy() bool { return t.journal != nil }

// note adds what a tick applied. It returns the pieces that stay for the builder.
func (j *journal) note(truncated bool, pieces []splitdate.Chunk) []splitdate.Chunk {
	j.void = j.void || truncated
	j.pieces = append(j.pieces, pieces...)
	return pieces
}
