package splitdate

import "encoding/json"

// Load is a table that is being read in pieces, and that no view shows yet. A restart goes on with the next piece.
type Load struct {
	// Base holds the rows of the pieces read so far, each as PostgreSQL had it at that piece's barrier.
	Base Table `json:"base"`
	// Barrier is that of the first piece. All changes since are kept, and applied when the last piece is there.
	Barrier LSN `json:"barrier"`
	// Last is the newest barrier: a mark before it cannot show the table.
	Last LSN `json:"last"`
	// Barriers counts them. Under more than one, Base may hold rows as they were after some of the changes.
	Barriers int `json:"barriers"`
	// Pages is how many pages of the table's files have been read, End how many there were at the first barrier.
	Pages int64 `json:"pages"`
	End   int64 `json:"end"`
	// Files names the files; a table that was rewritten since has its rows in other pages, and is read from the beginning.
	Files string `json:"files"`
	// Changes are the chunks of the changes since Barrier, Pending what is to be done with them (rtwindow's).
	Changes []Chunk         `json:"changes"`
	Pending json.RawMessage `json:"pending"`
}

// Has reports whether the load needs a chunk.
func (l Load) Has(c Chunk) bool {
	for _, own := range l.Changes {
		if own == c {
			return true
		}
	}
	return l.Base.Has(c)
}

// Join returns the table with the chunks of a piece added.
func (t Table) Join(piece Table) (Table, error) {
	joined := piece
	if len(t.Chunks) > 0 {
		var err error
		joined, err = t.Apply(Delta{AddRT: piece.RT, AddHistoric: piece.Clean, Written: piece.Chunks})
		if err != nil {
			return t, err
		}
	}
	joined.Mirrored, joined.Split, joined.Shape = piece.Mirrored, piece.Split, t.Shape
	return joined, nil
}
