package splitdate_test

import (
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
)

func open(t *testing.T) *warehouse.Conn {
	t.Helper()
	server, err := engine.StartClickHouse(t.Context(), engine.ClickHouseOptions{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(t.Context()) })
	db, err := warehouse.Open(warehouse.Options{DSN: server.DSN("we`ird'db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, st := range append(db.Database().CreateDatabases(), db.Database().CreateMarks()...) {
		if err := db.Exec(t.Context(), st, nil); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestStore(t *testing.T) {
	ctx := t.Context()
	store := splitdate.NewStore(open(t))
	if _, ok, err := store.Newest(ctx); ok || err != nil {
		t.Fatalf("newest of none: %v, %v", ok, err)
	}
	first := splitdate.Mark{
		Format: splitdate.Format, Term: 1, Epoch: 1, LSN: 1 << 40, CommitTime: time.Date(2026, 3, 8, 6, 59, 59, 123456000, time.UTC),
		Source: splitdate.Source{SystemID: "7421'\\", Timeline: 2, Database: "sh'op\\", Slot: "tidemark"},
		Tables: map[string]splitdate.Table{
			"sa'les\\": {
				Split: splitdate.InstantOf(time.Date(2026, 3, 8, 6, 30, 0, 0, time.UTC)),
				Clean: []splitdate.Chunk{1}, Dirty: []splitdate.Chunk{2}, Masks: []splitdate.Chunk{3}, Late: []splitdate.Chunk{4}, RT: []splitdate.Chunk{1<<40 + 5},
				Chunks: map[splitdate.Chunk]splitdate.Meta{1: {Rows: 5, From: -62135596800000000, To: 3}, 2: {Rows: 1 << 40}, 3: {Rows: 1}, 4: {Rows: 7}, 1<<40 + 5: {Rows: 1, From: splitdate.Never, To: splitdate.Never}},
			},
			"stores": {Mirrored: true, Clean: []splitdate.Chunk{}, Dirty: []splitdate.Chunk{}, Masks: []splitdate.Chunk{}, Late: []splitdate.Chunk{}, RT: []splitdate.Chunk{}, Chunks: map[splitdate.Chunk]splitdate.Meta{}},
		},
	}
	if _, err := store.Publish(ctx, splitdate.Mark{}, first); err != nil {
		t.Fatal(err)
	}
	got, ok, err := store.Newest(ctx)
	if err != nil || !ok || !reflect.DeepEqual(got, first) {
		t.Fatalf("read %+v, %v, %v\nwrote %+v", got, ok, err, first)
	}
	testFence(t, store, first)
}

// testFence has two writers follow the same mark: one publishes, the other learns that it was overtaken and leaves no
// row, now and after its statement arrives late.
func testFence(t *testing.T, store *splitdate.Store, prev splitdate.Mark) {
	ctx := t.Context()
	zombie, err := prev.Next(splitdate.Step{LSN: prev.LSN + 1})
	if err != nil {
		t.Fatal(err)
	}
	claim := prev.Claim()
	if _, err := store.Publish(ctx, prev, claim); err != nil {
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
	// A statement whose condition was evaluated before the claim: its mark is there, and loses by its term.
	late := zombie
	late.Epoch += 5
	if _, err := store.Publish(ctx, claim, late); err != nil && !errors.Is(err, splitdate.ErrFenced) {
		t.Fatal(err)
	}
	if newest, _, err := store.Newest(ctx); err != nil || newest.Term != claim.Term {
		t.Errorf("newest is %v, %v: a mark of an older term won", newest, err)
	}
}
