package splitdate

import (
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/sql"
)

func markAt(epoch Epoch, rt ...Chunk) Mark {
	t := Table{RT: rt, Chunks: map[Chunk]Meta{}}
	for _, c := range rt {
		t.Chunks[c] = meta(10, 0, 0)
	}
	return Mark{Term: 1, Epoch: epoch, LSN: LSN(epoch * 10), Tables: map[string]Table{"t": t}}
}

func chunksOf(due []Retired) (out []Chunk) {
	for _, d := range due {
		out = append(out, d.Chunk)
	}
	return out
}

const second = Instant(1_000_000)

func TestRetentionWaitsForQueries(t *testing.T) {
	r := NewRetention(markAt(1, 1), nil, 0)
	r.Published(markAt(1, 1), markAt(2, 2), 10*second)
	r.Published(markAt(2, 2), markAt(3, 3), 20*second)

	if due := r.Due(25*second, 5*second, time.Minute); len(due) != 0 {
		t.Errorf("a query of second 5 may read mark 1, but chunks %v went", chunksOf(due))
	}
	if epoch, lsn := r.Safe(); epoch != 1 || lsn != 10 {
		t.Errorf("safe is mark %d at %v, but nothing went", epoch, lsn)
	}
	// A query that began at the very instant of the mark may have read the older one.
	if due := r.Due(25*second, 10*second, time.Minute); len(due) != 0 {
		t.Errorf("chunks %v went", chunksOf(due))
	}
	if due := chunksOf(r.Due(25*second, 15*second, time.Minute)); len(due) != 1 || due[0] != 1 {
		t.Errorf("chunks %v went instead of 1", due)
	}
	if epoch, lsn := r.Safe(); epoch != 2 || lsn != 20 {
		t.Errorf("safe is mark %d at %v instead of 2: chunk 1 is gone", epoch, lsn)
	}
	if due := chunksOf(r.Due(81*second, 15*second, time.Minute)); len(due) != 1 || due[0] != 2 {
		t.Errorf("chunks %v went instead of 2, which is older than the oldest query may be", due)
	}
}

func TestRetentionKeepsOneMarkMore(t *testing.T) {
	r := NewRetention(markAt(1, 1), nil, 0)
	for e := Epoch(1); e < 10; e++ {
		r.Published(markAt(e, 1), markAt(e+1, 1), Instant(e)*second) // positions alone
		r.Due(Instant(e)*second, Instant(e)*second, time.Minute)
	}
	if epoch, _ := r.Safe(); epoch != 9 {
		t.Errorf("safe is mark %d: after losing mark 10, mark 9 must still be good, and nothing before it is needed", epoch)
	}
}

func TestRetentionOfAnOlderTerm(t *testing.T) {
	r := NewRetention(markAt(7, 1), []Retired{{Table: "t", Region: sql.RT, Chunk: 5}}, 10*second)
	if due := r.Due(11*second, 9*second, time.Minute); len(due) != 0 {
		t.Errorf("a query that began under the older writer may read chunk 5")
	}
	if due := chunksOf(r.Due(11*second, 11*second, time.Minute)); len(due) != 1 || due[0] != 5 {
		t.Errorf("chunks %v went instead of 5", due)
	}
}

func TestRetentionBoundsTheDisk(t *testing.T) {
	r := NewRetention(markAt(1, 1), nil, 0)
	r.Published(markAt(1, 1), markAt(2, 2), 10*second)
	r.Published(markAt(2, 2), markAt(3, 3), 20*second)
	sizes := map[Chunk]int64{1: 60, 2: 60}
	if due := r.Over(120, sizes); len(due) != 0 {
		t.Errorf("chunks %v went within the limit", chunksOf(due))
	}
	if due := chunksOf(r.Over(100, sizes)); len(due) != 1 || due[0] != 1 {
		t.Errorf("chunks %v went instead of the oldest one", due)
	}
	if epoch, _ := r.Safe(); epoch != 2 {
		t.Errorf("safe is mark %d instead of 2: chunk 1 is gone", epoch)
	}
}
