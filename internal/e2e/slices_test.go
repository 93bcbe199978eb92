package e2e

import (
	"context"
	"errors"
	"testing"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// TestSliceCrash kills a bridge before and after each statement of a tick that is applied in slices, and whose first one has
// left chunks that no mark lists. The tick leaves no live row in HISTORIC, whose chunks go with it.
func TestSliceCrash(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, audited{
		name: "ledger", config: "{date_column: d}", columns: append(plainColumns("id", "v"), instantColumn("d")),
		setup: []string{
			"CREATE TABLE ledger (id int PRIMARY KEY, d timestamptz NOT NULL, v int NOT NULL)",
			"INSERT INTO ledger SELECT g, now() - g * interval '1 h', g FROM generate_series(1, 200) g",
		},
	})
	file := r.config("tick: 100ms\nschedule: {roll: \"\", resync: \"\"}")
	options := rig.PuppetOptions{Slices: 3}
	p := r.SpawnPuppet(file, rig.Point{}, options)
	r.await()
	store := r.store()
	for _, statement := range []string{"compact_changes", "mask_historic", "fold_masks", "rewrite", "insert_mark"} {
		for _, after := range []bool{false, true} {
			at := rig.Point{Statement: statement, After: after}
			r.Eventually(schemaPatience, "a fold of all late rows", func(context.Context) error {
				if e := parts(store.newest(t).Tables["ledger"]); e.historic == 0 || e.late+e.masks > 0 {
					return errors.Join(errors.New("there are late rows, or none at all"), p.Resync(false))
				}
				return nil
			})
			if err := p.Arm(at); err != nil {
				t.Fatal(err)
			}
			r.run("UPDATE ledger SET v = v + 1")
			if err := p.Await(holdPatience); err != nil {
				t.Fatalf("%s: %v\n%s", at, err, r.Log())
			}
			p.Kill()
			p = r.SpawnPuppet(file, rig.Point{}, options)
			r.compare()
			if e := parts(store.newest(t).Tables["ledger"]); e.historic+e.masks > 0 {
				t.Errorf("%s: of chunks without live rows %d rows and %d masks are left", at, e.historic, e.masks)
			}
		}
	}
	p.Terminate()
}
