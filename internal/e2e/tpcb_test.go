package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// tpcb is a TPC-B database as pgbench makes it, with a publication over its four tables.
type tpcb struct {
	*rig.Rig
	t     *testing.T
	scale int
	zone  string // of PostgreSQL; pgbench writes history.mtime, which has none of its own, in it
}

// newTPCB creates the database. 1 of scale is 100,000 accounts, 10 tellers and a branch.
func newTPCB(t *testing.T, scale int, zone string) *tpcb {
	t.Helper()
	b := &tpcb{Rig: rig.New(t, servers), t: t, scale: scale, zone: zone}
	b.exec("ALTER DATABASE " + b.Name + " SET timezone TO '" + zone + "'")
	b.pgbench("-i", "-q", "-s", strconv.Itoa(scale))
	b.exec("CREATE PUBLICATION tidemark FOR TABLE pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history")
	return b
}

func (b *tpcb) exec(statement string) {
	b.t.Helper()
	if _, err := b.PG.Exec(b.t.Context(), statement); err != nil {
		b.t.Fatal(err)
	}
}

// pgbench runs pgbench to its end.
func (b *tpcb) pgbench(args ...string) {
	b.t.Helper()
	if out, err := b.command(args...).CombinedOutput(); err != nil {
		b.t.Fatalf("pgbench %v: %v\n%s", args, err, out)
	}
}

// command is a pgbench that dies with the test binary.
func (b *tpcb) command(args ...string) *exec.Cmd {
	b.t.Helper()
	program, err := engine.Pgbench(b.t.Context(), os.Stderr)
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(program, append(args, b.AdminDSN())...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run starts a bridge: accounts, branches and tellers are mirrored, history is split by mtime. It returns when all are
// loaded.
func (b *tpcb) run(settings string, o bridge.Options) *rig.Bridge {
	b.t.Helper()
	running := b.Run(b.ConfigFile("#zone "+b.zone+"\n"+settings+`
tables:
  public.pgbench_accounts: {}
  public.pgbench_branches: {}
  public.pgbench_tellers:
    aggregates: {pgbench_tellers_by_branch: {by: {bid: bid}, measures: {balance: sum(tbalance), n: count()}}}
  public.pgbench_history:
    date_column: mtime
    aggregates:
      pgbench_history_by_second: {by: {at: toStartOfSecond(mtime)}, measures: {delta: sum(delta), n: count()}}
      pgbench_history_by_branch: {by: {bid: bid}, measures: {delta: sum(delta), n: count(), tellers: uniqExact(tid)}}
`), o)
	b.WaitLSN(4)
	b.Eventually(slow, "all aggregates", b.aggregatesAre(3))
	return running
}

// aggregatesAre is the condition that the newest mark holds as many aggregates.
func (b *tpcb) aggregatesAre(want int) func(context.Context) error {
	return (&auditRig{Rig: b.Rig, t: b.t}).aggregatesAre(want)
}

// rows is how many rows accounts, tellers and branches have together.
func (b *tpcb) rows() uint64 { return uint64(b.scale) * (100_000 + 10 + 1) }

func (b *tpcb) views() views { return views{b.Name, ownPrefix} }

// readers ask in every way that has its own dangers: more tables opened before the mark is read, more time between two
// reads of the mark, another protocol.
func (b *tpcb) readers() []*reader {
	list := []*reader{
		{name: "scalars", conn: b.Reader(nil), question: askScalars},
		{name: "comma", conn: b.Reader(clickhouse.Settings{sharedSnapshots: 0}), question: askComma},
		{name: "union over HTTP", conn: b.HTTPReader(nil), question: askUnion},
		{name: "join", conn: b.Reader(nil), question: askJoin},
		{name: "aggregates", conn: b.Reader(nil), question: askAggregates},
		{name: "aggregates delayed", conn: b.Reader(clickhouse.Settings{snapshotDelay: 20, sharedSnapshots: 0}), question: askAggregates},
		{name: "slow", conn: b.Reader(clickhouse.Settings{sharedSnapshots: 0}), question: askSlowly(60)},
		{name: "scalars delayed", conn: b.Reader(clickhouse.Settings{snapshotDelay: 20}), question: askScalars},
		{name: "history first delayed", conn: b.Reader(clickhouse.Settings{snapshotDelay: 50, sharedSnapshots: 0}), question: askHistory},
	}
	for _, r := range list {
		r.views = b.views()
	}
	return list
}

// duration is that of the load of each TPC-B run, in seconds; a full run takes 60.
func duration(t *testing.T) int {
	t.Helper()
	text := os.Getenv("TIDEMARK_E2E_SECONDS")
	if text == "" {
		return 8
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("TIDEMARK_E2E_SECONDS: %q is no number of seconds", text)
	}
	return n
}

// TestTPCB lets pgbench write, in a full run as fast as it can, while readers ask for the four sums of TPC-B, which are equal at every
// commit and between no two, and the split date moves every second.
func TestTPCB(t *testing.T) {
	for _, v := range []struct {
		name   string
		zone   string
		resync string
		o      bridge.Options
	}{
		{"UTC", "UTC", "@hourly", bridge.Options{}},
		{"America/New_York with jobs, invariants checked", "America/New_York", "@every 3s", bridge.Options{CheckInvariants: true}},
	} {
		t.Run(v.name, func(t *testing.T) {
			scale := 1
			if duration(t) >= full {
				scale = 10
			}
			b := newTPCB(t, scale, v.zone)
			running := b.run("rt_window: 5s\nsplit_step: 1s\ntick: 1s\nschedule: {roll: \"@every 1s\", resync: \""+v.resync+"\"}", v.o)
			l := newLedger(b.rows())
			stopJobs := func() {}
			if v.resync != "@hourly" {
				stopJobs = startJobs(t, running, []string{"pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history"}, seed(t)).stop
			}
			readDuring(t.Context(), l, b.readers(), func() { b.load(l) })
			stopJobs()
			l.report(t)
			b.WaitLSN(4)
			b.compare()
			_ = running.Stop()
		})
	}
}

// full is the duration in seconds of a run that counts as a full one.
const full = 60

// enough is what a load has to bring with it, or there was little that could go wrong. A run goes on until it has that,
// however slow the machine.
type enough struct{ transactions, reads, moves int }

func enoughFor(seconds int) enough {
	if seconds >= full {
		return enough{transactions: 10_000, reads: 2000, moves: 50}
	}
	return enough{transactions: 1000, reads: 10, moves: 2}
}

// maxRounds bounds a run.
const maxRounds = 40

// load writes for the duration, and for as long again until there is enough.
func (b *tpcb) load(l *ledger) {
	b.t.Helper()
	seconds := duration(b.t)
	want, rate := enoughFor(seconds), []string{"-R", "400"}
	if seconds >= full {
		rate = nil // as fast as it can, which on two cores leaves little for the ticks that a short run is after
	}
	for round := 1; ; round++ {
		b.pgbench(append(rate, "-n", "-c", "4", "-T", strconv.Itoa(seconds))...)
		got := enough{b.transactions(), l.total(), b.splitMoves()}
		b.t.Logf("%d s: %+v", round*seconds, got)
		if got.transactions >= want.transactions && got.reads >= want.reads && got.moves >= want.moves {
			return
		}
		if round == maxRounds || l.failed() {
			b.t.Errorf("want %+v", want)
			return
		}
	}
}

// transactions counts what pgbench committed.
func (b *tpcb) transactions() (n int) {
	b.t.Helper()
	if err := b.PG.QueryRow(b.t.Context(), "SELECT count(*) FROM pgbench_history").Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// splitMoves counts how often the split date of history moved, and fails if it ever moved back.
func (b *tpcb) splitMoves() int {
	b.t.Helper()
	var moves, back uint64
	err := b.CH.QueryRow(b.t.Context(), fmt.Sprintf(`
		SELECT countIf(split > before), countIf(split < before)
		FROM
		(
			SELECT split, lagInFrame(split, 1, split) OVER (ORDER BY term, epoch) AS before
			FROM
			(
				SELECT DISTINCT term, epoch, assumeNotNull(tables['pgbench_history'].split) AS split
				FROM (SELECT * FROM %[1]s.split_date UNION ALL SELECT * FROM %[1]s_tidemark.split_date_log)
				WHERE mapContains(tables, 'pgbench_history')
			)
		)`, b.Name)).Scan(&moves, &back)
	if err != nil {
		b.t.Fatal(err)
	}
	if back > 0 {
		b.t.Errorf("the split date moved back %d times", back)
	}
	return int(moves)
}

// sums are what is compared of a table: expressions in each server's SQL, with the same text as result.
type sums struct{ table, postgres, clickhouse string }

// compare compares each view with its table, which nobody writes to by now.
func (b *tpcb) compare() {
	b.t.Helper()
	for _, s := range []sums{
		{
			"accounts", "sum(abalance), sum(aid::bigint * abalance), sum(bid), sum(octet_length(filler))",
			"sum(abalance), sum(toInt64(aid) * abalance), sum(bid), sum(length(filler))",
		},
		{"branches", "sum(bbalance), sum(bid::bigint * bbalance)", "sum(bbalance), sum(toInt64(bid) * bbalance)"},
		{"tellers", "sum(tbalance), sum(tid::bigint * tbalance), sum(bid)", "sum(tbalance), sum(toInt64(tid) * tbalance), sum(bid)"},
		{
			"history", "sum(delta), sum(tid::bigint * delta), sum(aid::bigint * delta), sum(bid)," +
				"sum((extract(epoch FROM mtime AT TIME ZONE '" + b.zone + "') * 1000000)::numeric(20) % 1000000007)",
			"sum(delta), sum(toInt64(tid) * delta), sum(toInt64(aid) * delta), sum(bid)," +
				"sum(toUnixTimestamp64Micro(assumeNotNull(mtime)) % 1000000007)",
		},
	} {
		want, got := b.ofTable(s), b.ofView(s)
		if want != got {
			b.t.Errorf("%s: PostgreSQL has %s, the view %s", s.table, want, got)
		}
	}
}

func (b *tpcb) ofTable(s sums) (text string) {
	b.t.Helper()
	query := fmt.Sprintf("SELECT concat_ws(' ', count(*), %s) FROM pgbench_%s", s.postgres, s.table)
	if err := b.PG.QueryRow(b.t.Context(), query).Scan(&text); err != nil {
		b.t.Fatal(err)
	}
	return text
}

func (b *tpcb) ofView(s sums) (text string) {
	b.t.Helper()
	query := fmt.Sprintf("SELECT concatWithSeparator(' ', count(), %s) FROM %s", s.clickhouse, b.views().bind("${"+s.table+"}"))
	if err := b.CH.QueryRow(b.t.Context(), query).Scan(&text); err != nil {
		b.t.Fatal(err)
	}
	return text
}
