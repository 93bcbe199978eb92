package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// state is what one read saw of a TPC-B database.
type state struct {
	Epoch    uint64
	Accounts int64 // sum of the balances
	Tellers  int64
	Branches int64
	History  int64  // sum of the deltas
	Rows     uint64 // of accounts, tellers and branches: no transaction changes how many there are
	Unequal  uint64 // tellers and branches whose balance is not the sum of their deltas; only some questions ask
}

// balanced reports whether PostgreSQL can have had that state at a commit.
func (s state) balanced(rows uint64) bool {
	return s.Accounts == s.History && s.Tellers == s.History && s.Branches == s.History && s.Rows == rows && s.Unequal == 0
}

// views are those that a question is put to: the bridge's own, or variants that a test made of them.
type views struct{ database, prefix string }

const ownPrefix = "pgbench_"

// bind puts the names of the views into a question. ${current} is split_date_current, ${x} the view of pgbench_x.
func (v views) bind(question string) string {
	return os.Expand(question, func(name string) string {
		if name == "current" {
			return v.database + ".split_date_current"
		}
		return v.database + "." + v.prefix + name
	})
}

// The questions, each one query. All answer with the columns of answer.
const (
	// askScalars asks for each sum in a scalar subquery.
	askScalars = `SELECT (SELECT max(epoch) FROM ${current}) AS epoch,
		(SELECT (sum(abalance), count()) FROM ${accounts}) AS a, (SELECT (sum(tbalance), count()) FROM ${tellers}) AS t,
		(SELECT (sum(bbalance), count()) FROM ${branches}) AS b, (SELECT sum(delta) FROM ${history}) AS h, 0 AS unequal`

	// askHistory asks for what rolls first.
	askHistory = `SELECT (SELECT sum(delta) FROM ${history}) AS h, (SELECT (sum(bbalance), count()) FROM ${branches}) AS b,
		(SELECT (sum(tbalance), count()) FROM ${tellers}) AS t, (SELECT (sum(abalance), count()) FROM ${accounts}) AS a,
		(SELECT max(epoch) FROM ${current}) AS epoch, 0 AS unequal`

	// askComma names the views side by side.
	askComma = `SELECT epoch, a, t, b, h, 0 AS unequal
		FROM (SELECT sum(delta) AS h FROM ${history}) AS w, (SELECT (sum(bbalance), count()) AS b FROM ${branches}) AS z,
			(SELECT (sum(tbalance), count()) AS t FROM ${tellers}) AS y, (SELECT (sum(abalance), count()) AS a FROM ${accounts}) AS x,
			(SELECT max(epoch) AS epoch FROM ${current}) AS e`

	// askUnion reads the rows of all views in one stream.
	askUnion = `SELECT max(e) AS epoch, (sumIf(v, k = 1), countIf(k = 1)) AS a, (sumIf(v, k = 2), countIf(k = 2)) AS t,
			(sumIf(v, k = 3), countIf(k = 3)) AS b, sumIf(v, k = 4) AS h, 0 AS unequal
		FROM
		(
			SELECT 1 AS k, toInt64(abalance) AS v, 0 AS e FROM ${accounts}
			UNION ALL SELECT 2, toInt64(tbalance), 0 FROM ${tellers}
			UNION ALL SELECT 3, toInt64(bbalance), 0 FROM ${branches}
			UNION ALL SELECT 4, toInt64(delta), 0 FROM ${history}
			UNION ALL SELECT 5, 0, epoch FROM ${current}
		)`

	// askJoin joins views on their keys and compares each balance with its deltas; history comes twice.
	askJoin = `SELECT (SELECT max(epoch) FROM ${current}) AS epoch, (SELECT (sum(abalance), count()) FROM ${accounts}) AS a,
			(sum(tellers.sum), sum(tellers.n)) AS t, (sum(bbalance), count()) AS b, sum(deltas.sum) AS h,
			countIf(bbalance != deltas.sum) + sum(tellers.unequal) AS unequal
		FROM ${branches} AS branches
		LEFT JOIN (SELECT bid, sum(delta) AS sum FROM ${history} GROUP BY bid) AS deltas ON deltas.bid = branches.bid
		LEFT JOIN
		(
			SELECT t.bid, sum(tbalance) AS sum, count() AS n, countIf(tbalance != d.sum) AS unequal
			FROM ${tellers} AS t
			LEFT JOIN (SELECT tid, sum(delta) AS sum FROM ${history} GROUP BY tid) AS d ON d.tid = t.tid
			GROUP BY t.bid
		) AS tellers ON tellers.bid = branches.bid`

	// askAggregates asks aggregates instead of the rows that they are of, joined with rows.
	askAggregates = `SELECT (SELECT max(epoch) FROM ${current}) AS epoch, (SELECT (sum(abalance), count()) FROM ${accounts}) AS a,
			(sum(tellers.balance), sum(tellers.n)) AS t, (sum(bbalance), count()) AS b, (SELECT sum(delta) FROM ${history_by_second}) AS h,
			countIf(bbalance != deltas.delta) -- a teller works for other branches too, so his balance says nothing of his branch's
				+ ((SELECT sum(n) FROM ${history_by_second}) != (SELECT count() FROM ${history})) AS unequal
		FROM ${branches} AS branches
		LEFT JOIN ${history_by_branch} AS deltas ON deltas.bid = branches.bid
		LEFT JOIN ${tellers_by_branch} AS tellers ON tellers.bid = branches.bid`
)

// askSlowly reads one view, then nothing for that many twentieths of a second, then the others.
func askSlowly(twentieths int) string {
	return fmt.Sprintf(`SELECT (SELECT max(epoch) FROM ${current}) AS epoch, (SELECT (sum(tbalance), count()) FROM ${tellers}) AS t,
		(SELECT sum(sleepEachRow(0.05)) FROM numbers(%d)) AS slow,
		(SELECT (sum(abalance), count()) FROM ${accounts}) AS a, (SELECT sum(delta) FROM ${history}) AS h,
		(SELECT (sum(bbalance), count()) FROM ${branches}) AS b, slow AS unequal`, twentieths)
}

// answer makes one row of the types of state out of a question's.
const answer = `SELECT toUInt64(ifNull(epoch, 0)), toInt64(ifNull(a.1, 0)), toInt64(ifNull(t.1, 0)), toInt64(ifNull(b.1, 0)),
	toInt64(ifNull(h, 0)), toUInt64(a.2 + t.2 + b.2), toUInt64(unequal) FROM (%s)`

// Settings of ClickHouse that bear on when a query sees what. snapshotDelay is that of each table in ms. Where
// sharedSnapshots is 1, as it is unless a user changes it, a query sees each table as of one moment, which hides some of
// what goes wrong where a part of the protocol is missing, or turns it into an error.
const (
	snapshotDelay   = "merge_tree_storage_snapshot_sleep_ms"
	sharedSnapshots = "enable_shared_storage_snapshot_in_query"
)

// reader asks one question.
type reader struct {
	name     string
	conn     driver.Conn
	question string // one of ask…
	views    views
}

func (r *reader) read(ctx context.Context) (s state, err error) {
	query := fmt.Sprintf(answer, r.views.bind(r.question))
	err = r.conn.QueryRow(ctx, query).Scan(&s.Epoch, &s.Accounts, &s.Tellers, &s.Branches, &s.History, &s.Rows, &s.Unequal)
	return s, err
}

// ledger keeps what readers saw. It is safe for concurrent use.
type ledger struct {
	rows uint64 // that every read must see in accounts, tellers and branches

	mu     sync.Mutex
	reads  map[string]int   // by reader
	epochs map[uint64]state // what was seen at each epoch
	last   map[string]uint64
	faults []string
}

func newLedger(rows uint64) *ledger {
	return &ledger{rows: rows, reads: map[string]int{}, epochs: map[uint64]state{}, last: map[string]uint64{}}
}

// keep takes what a reader saw: an error, or a state that must be balanced, the same for everyone who reads that epoch,
// and no older than what this reader saw before.
func (l *ledger) keep(reader string, s state, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads[reader]++
	seen, again := l.epochs[s.Epoch]
	switch {
	case err != nil:
		l.fault("%s: %v", reader, err)
		return
	case !s.balanced(l.rows):
		l.fault("%s: wrong: %+v, want %d rows", reader, s, l.rows)
	case again && s != seen:
		l.fault("%s: saw %+v where another read saw %+v", reader, s, seen)
	case s.Epoch < l.last[reader]:
		l.fault("%s: epoch went back from %d to %d", reader, l.last[reader], s.Epoch)
	}
	l.epochs[s.Epoch], l.last[reader] = s, s.Epoch
}

func (l *ledger) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// failed reports whether a read went wrong.
func (l *ledger) failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.faults) > 0
}

// total is the number of reads.
func (l *ledger) total() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, reads := range l.reads {
		n += reads
	}
	return n
}

// report fails the test for every read that went wrong, and logs how many there were.
func (l *ledger) report(t *testing.T) {
	t.Helper()
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l.reads)) {
		fmt.Fprintf(&text, " %s %d", name, l.reads[name])
	}
	t.Logf("%d reads of %d epochs:%s", l.total(), len(l.epochs), text.String())
	if n := len(l.faults); n > 0 {
		t.Errorf("%d of %d reads failed, such as\n%s", n, l.total(), strings.Join(l.faults[:min(n, 10)], "\n"))
	}
}

// readDuring lets the readers read one query after the other while work runs, and returns when all have ended.
func readDuring(ctx context.Context, l *ledger, readers []*reader, work func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, r := range readers {
		wg.Go(func() { // ends with the read under way when work is done, or with the first error
			for {
				s, err := r.read(ctx)
				l.keep(r.name, s, err)
				select {
				case <-stop:
					return
				default:
				}
				if err != nil {
					return
				}
			}
		})
	}
	work()
	close(stop)
	wg.Wait()
}
