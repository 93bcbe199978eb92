package e2e

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// kills is how often TestKill kills the bridge.
const kills = 6

// killWithin is the longest life of a bridge: from the midst of its start to the midst of its work.
const killWithin = 2 * time.Second

// TestKill kills the bridge with SIGKILL, again and again, while rows of any age change, and in the end stops it in
// order. Readers need ClickHouse alone: each of their reads must answer, and be right, whether a bridge runs or not.
func TestKill(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, lateTables("history", "docs", "events", "products")...)
	n := seed(t)
	chance := rand.New(rand.NewPCG(n, 0))
	w := r.start(n)
	file := r.config(lateSettings)
	p := r.Spawn(file)
	r.await()
	readers := r.startReaders()
	w.heavy(kills * killWithin / 2)
	for i := range kills {
		delay := time.Duration(chance.Int64N(int64(killWithin)))
		r.until(delay, nil)
		t.Logf("kill %d after %v", i+1, delay)
		p.Kill()
		p = r.Spawn(file)
	}
	r.await()
	r.terminate(p)
	p = r.Spawn(file)
	w.stop()
	r.compare()
	readers.stop(kills)
	r.terminate(p)
	r.checkMarks("history", 1)
	r.checkTerms(kills + 2) // with the first, and the one after the stop in order
	r.showLog()
}

// terminate stops a bridge in order: it exits with 0, soon, and what it leaves is a state of PostgreSQL and stays one.
func (r *auditRig) terminate(p *rig.Process) {
	r.t.Helper()
	began := time.Now()
	if code := p.Terminate(); code != 0 {
		r.t.Errorf("exit code %d after SIGTERM", code)
	}
	if took := time.Since(began); took > 15*time.Second {
		r.t.Errorf("the stop took %v", took)
	}
	before := r.store().newest(r.t)
	for range 3 {
		epoch, err := r.read(r.t.Context(), r.CH, "")
		if err != nil || epoch != uint64(before.Epoch) {
			r.t.Errorf("read epoch %d of %d, %v", epoch, before.Epoch, err)
		}
	}
}

// checkTerms makes sure that most of the lives got as far as to begin a term of their own.
func (r *auditRig) checkTerms(lives uint64) {
	r.t.Helper()
	marks := r.marks(r.tables[0].name)
	if last := marks[len(marks)-1].term; last < lives/3 || last > lives {
		r.t.Errorf("%d terms in %d lives", last, lives)
	}
}

// showLog logs what went wrong in the bridge's own eyes, if the test failed.
func (r *auditRig) showLog() {
	for line := range strings.Lines(r.Log()) {
		if r.t.Failed() && !strings.Contains(line, `"level":"info"`) {
			r.t.Log(strings.TrimSpace(line))
		}
	}
}

// TestSecondBridge starts bridges that must not run beside the first.
func TestSecondBridge(t *testing.T) {
	t.Parallel()
	r := newAuditRig(t, lateTables("stock")...)
	file := r.config("tick: 100ms")
	p := r.Spawn(file)
	r.await()
	other := rig.New(t, servers, "CREATE TABLE stock (id int PRIMARY KEY, v bigint)", "CREATE PUBLICATION tidemark FOR ALL TABLES")
	text := read(t, file)
	ofOther := strings.NewReplacer(r.SourceDSN(), other.SourceDSN(), "slot: "+r.Name, "slot: "+other.Name, "public.audit: {}", "")
	for _, c := range []struct {
		name, config string
		want         []string
	}{
		{"the same slot", text, []string{r.Name, "in use"}},
		{"the same database through another slot", strings.Replace(text, "slot: "+r.Name, "slot: "+other.Name, 1), []string{r.Name, "another source"}},
		{"another source", ofOther.Replace(text), []string{r.Name, "another source", other.Name}},
	} {
		t.Run(c.name, func(t *testing.T) {
			command(t, write(t, c.config), "run").fails(t, 1, c.want)
			if list := slots(t, r.Rig, r.Name, other.Name); list != r.Name {
				t.Errorf("slots: %s", list)
			}
		})
	}
	r.commit("INSERT INTO stock VALUES (1000, 1)")
	r.compare()
	if code := p.Terminate(); code != 0 {
		t.Errorf("exit code %d of the first bridge", code)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// slots lists those of the given replication slots that there are.
func slots(t *testing.T, r *rig.Rig, names ...string) (list string) {
	t.Helper()
	err := r.PG.QueryRow(t.Context(), `SELECT coalesce(string_agg(slot_name, ' ' ORDER BY slot_name), '')
		FROM pg_replication_slots WHERE slot_name = ANY ($1)`, names).Scan(&list)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
