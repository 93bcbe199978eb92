package splitdate_test

import (
	"context"
	"errors"
	"os"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/failpoint"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// start starts a server with the tables of marks and returns how to connect to it.
func start(t *testing.T) func(failpoint.Hook) *warehouse.Conn {
	t.Helper()
	server, err := engine.StartClickHouse(t.Context(), engine.ClickHouseOptions{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(t.Context()) })
	connect := func(hook failpoint.Hook) *warehouse.Conn {
		t.Helper()
		db, err := warehouse.Open(warehouse.Options{DSN: server.DSN("we`ird'db"), Hook: hook})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	db := connect(nil)
	for _, st := range append(db.Database().CreateDatabases(), db.Database().CreateMarks()...) {
		if err := db.Exec(t.Context(), st, nil); err != nil {
			t.Fatal(err)
		}
	}
	return connect
}

func TestStore(t *testing.T) {
	ctx := t.Context()
	connect := start(t)
	store := splitdate.NewStore(connect(nil))
	if _, ok, err := store.Newest(ctx); ok || err != nil {
		t.Fatalf("newest of none: %v, %v", ok, err)
	}
	first := splitdate.Mark{
		LSN: 1 << 40, CommitTime: time.Date(2026, 3, 8, 6, 59, 59, 123456000, time.UTC),
		Source: splitdate.Source{SystemID: "7421'\\", Timeline: 2, Database: "sh'op\\", Slot: "tidemark"},
		Tables: map[string]splitdate.Table{
			"sa'les\\": {
				Split: splitdate.InstantOf(time.Date(2026, 3, 8, 6, 30, 0, 0, time.UTC)),
				Clean: []splitdate.Chunk{1}, Dirty: []splitdate.Chunk{2}, Masks: []splitdate.Chunk{3}, Late: []splitdate.Chunk{4}, RT: []splitdate.Chunk{1<<40 + 5},
				Chunks: map[splitdate.Chunk]splitdate.Meta{1: {Rows: 5, From: -62135596800000000, To: 3}, 2: {Rows: 1 << 40}, 3: {Rows: 1}, 4: {Rows: 7}, 1<<40 + 5: {Rows: 1, From: splitdate.Never, To: splitdate.Never}},
			},
			"stores": {Mirrored: true, Clean: []splitdate.Chunk{}, Dirty: []splitdate.Chunk{}, Masks: []splitdate.Chunk{}, Late: []splitdate.Chunk{}, RT: []splitdate.Chunk{}, Chunks: map[splitdate.Chunk]splitdate.Meta{}},
		},
		Aggregates: map[string]splitdate.Aggregate{
			"dai'ly\\": {
				Table: "sa'les\\", Definition: "d'\\", States: map[splitdate.Chunk]uint64{1: 1 << 40, 4: 0, 1<<40 + 5: 7},
				Merged: map[splitdate.Chunk]splitdate.Merged{6: {States: 3, Of: []splitdate.Chunk{1}}},
			},
			"by_store": {Table: "stores", Definition: "e", States: map[splitdate.Chunk]uint64{}, Merged: map[splitdate.Chunk]splitdate.Merged{}},
		},
	}
	claimed, _, err := store.Claim(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	first.Format, first.Term, first.Epoch = splitdate.Format, 1, 1
	if !reflect.DeepEqual(claimed, first) {
		t.Errorf("claimed %+v", claimed)
	}
	got, ok, err := store.Newest(ctx)
	if err != nil || !ok || !reflect.DeepEqual(got, first) {
		t.Fatalf("read %+v, %v, %v\nwrote %+v", got, ok, err, first)
	}
	testFence(t, store, first)
	testPaused(t, connect, first)
	testCrowd(t, connect, first)
}

// testFence has two writers follow the same mark: one publishes, the other learns that it was overtaken and leaves no
// row, now and after its statement arrives late.
func testFence(t *testing.T, store *splitdate.Store, prev splitdate.Mark) {
	ctx := t.Context()
	zombie, err := prev.Next(splitdate.Step{LSN: prev.LSN + 1})
	if err != nil {
		t.Fatal(err)
	}
	claim, _, err := store.Claim(ctx, prev)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Publish(ctx, prev, zombie); !errors.Is(err, splitdate.ErrFenced) {
		t.Errorf("an overtaken writer got %v", err)
	}
	listed, first, _, err := store.Kept(ctx)
	if err != nil || first != 1 || !listed["sa'les\\"][4] {
		t.Errorf("kept from %d: %v, %v", first, listed, err)
	}
	newest, _, err := store.Newest(ctx)
	if err != nil || newest.Term != claim.Term || newest.Epoch != claim.Epoch {
		t.Errorf("newest is %v, %v instead of the claim", newest, err)
	}
	// Not even one that knows the newest mark.
	late := zombie
	late.Epoch = claim.Epoch + 1
	if _, err := store.Publish(ctx, claim, late); !errors.Is(err, splitdate.ErrFenced) {
		t.Errorf("a writer of an older term got %v", err)
	}
}

// testPaused pauses a writer before and after each statement of its claim while another one takes over and is idle, as a
// bridge of a quiet database is. The paused one must not take the other's mark for its own.
func testPaused(t *testing.T, connect func(failpoint.Hook) *warehouse.Conn, first splitdate.Mark) {
	ctx := t.Context()
	other := splitdate.NewStore(connect(nil))
	points := 0
	for at := 0; ; at++ {
		var newer splitdate.Mark
		calls := 0
		paused := connect(func(context.Context, string, bool) (err error) {
			if calls == at {
				newer, _, err = other.Claim(ctx, first)
			}
			calls++
			return err
		})
		mark, _, err := splitdate.NewStore(paused).Claim(ctx, first)
		if newer.Term == 0 {
			break // it has no more statements
		}
		points++
		newest, _, readErr := other.Newest(ctx)
		if readErr != nil {
			t.Fatal(readErr)
		}
		fenced := errors.Is(err, splitdate.ErrFenced)
		if !fenced && (err != nil || mark.Term <= newer.Term) { // before it began, it may begin after the other
			t.Errorf("paused at %d: %v, %v after %v", at, mark, err, newer)
		}
		if fenced && (newest.Term != newer.Term || newest.Epoch != newer.Epoch) {
			t.Errorf("paused at %d: the newest mark is %v instead of %v", at, newest, newer)
		}
	}
	if points != 6 {
		t.Errorf("paused at %d points", points)
	}
}

// testCrowd lets many writers claim at once: no two of them get the same term, and the newest mark is that of the newest.
func testCrowd(t *testing.T, connect func(failpoint.Hook) *warehouse.Conn, first splitdate.Mark) {
	const writers = 8
	marks, errs := make([]splitdate.Mark, writers), make([]error, writers)
	var group sync.WaitGroup
	for i := range writers {
		store := splitdate.NewStore(connect(nil))
		group.Go(func() { marks[i], _, errs[i] = store.Claim(t.Context(), first) })
	}
	group.Wait()
	won := map[splitdate.Term]bool{}
	var last splitdate.Term
	for i, m := range marks {
		if errs[i] != nil {
			continue // fenced, or its statement was ended by another's claim
		}
		if won[m.Term] {
			t.Errorf("two writers got term %d", m.Term)
		}
		won[m.Term], last = true, max(last, m.Term)
	}
	newest, _, err := splitdate.NewStore(connect(nil)).Newest(t.Context())
	if err != nil || newest.Term < last {
		t.Errorf("newest is %v, %v, but term %d was won", newest, err, last)
	}
}

// TestClaimPassesSilentWriter claims while an older writer, as one that is paused, is in the midst of sending rows. The
// claim does not wait for it: the rows still arrive when it goes on, and no mark lists them.
func TestClaimPassesSilentWriter(t *testing.T) {
	connect := start(t)
	first := splitdate.Mark{Source: splitdate.Source{SystemID: "1", Database: "shop", Slot: "tidemark"}, LSN: 1, CommitTime: time.Unix(1, 0)}
	silent := connect(nil)
	if _, _, err := splitdate.NewStore(silent).Claim(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := silent.Driver().Exec(t.Context(), "CREATE TABLE default.pieces (n UInt64) ENGINE = MergeTree ORDER BY n"); err != nil {
		t.Fatal(err)
	}
	open, goOn, sent := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { // ends with its insert
		sent <- silent.Insert(t.Context(), sql.Statement{Name: "insert_changes", Text: "INSERT INTO default.pieces (n)"}, func(b driver.Batch) error {
			close(open)
			<-goOn
			return b.Append(uint64(1))
		})
	}()
	<-open
	mark, _, err := splitdate.NewStore(connect(nil)).Claim(t.Context(), first)
	close(goOn)
	if err != nil || mark.Term != 2 {
		t.Errorf("claimed term %d, %v", mark.Term, err)
	}
	if err := <-sent; err != nil {
		t.Errorf("the claim waited until the older writer's insert had failed: %v", err)
	}
}
