package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/rig"
)

// soakMinutes is how long the random tests go on: 0 is a short run, of a test that runs among others.
func soakMinutes(t *testing.T) int {
	t.Helper()
	const variable = "TIDEMARK_SOAK"
	text := os.Getenv(variable)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is no number of minutes", variable, text)
	}
	return n
}

// TestSoak lets random faults come at random times while random transactions go on without a pause: one of the three
// processes is killed, a server is paused, a bridge is overtaken.
func TestSoak(t *testing.T) {
	st := newStage(t, 2, "docs", "parts")
	chance := rand.New(rand.NewPCG(st.seed, 9))
	for _, a := range st.actors {
		a.writer.begin("")
	}
	until := time.Now().Add(max(20*time.Second, time.Duration(soakMinutes(t))*time.Minute))
	for time.Now().Before(until) {
		st.wait(time.Duration(chance.Int64N(int64(3 * time.Second))))
		st.anyFault(chance)
		st.crashes++
	}
	for _, a := range st.actors {
		a.writer.rest()
		a.await()
	}
	st.end()
}

// wait lets the actors work for a while.
func (st *stage) wait(d time.Duration) { st.actors[0].until(d, nil) }

// anyFault does one of the things that go wrong.
func (st *stage) anyFault(chance *rand.Rand) {
	st.t.Helper()
	a := st.actors[chance.IntN(len(st.actors))]
	switch chance.IntN(6) {
	case 0, 1:
		a.puppet.Kill()
		a.spawn(rig.Point{})
	case 2:
		st.must(st.servers.ClickHouse.Kill())
		st.wait(time.Duration(chance.Int64N(int64(time.Second))))
		st.must(st.servers.ClickHouse.Start(st.t.Context()))
	case 3:
		st.must(st.servers.Postgres.Kill())
		st.wait(time.Duration(chance.Int64N(int64(time.Second))))
		st.must(st.servers.Postgres.Start(st.t.Context()))
	case 4:
		st.must(st.servers.ClickHouse.Pause())
		st.wait(time.Duration(chance.Int64N(int64(2 * time.Second))))
		st.must(st.servers.ClickHouse.Resume())
	case 5:
		st.must(a.puppet.Pause())
		standby := a.SpawnPuppet(a.file, rig.Point{}, rig.PuppetOptions{Standby: true})
		a.endLock()
		st.wait(time.Duration(chance.Int64N(int64(2 * time.Second))))
		st.must(a.puppet.Resume())
		st.wait(time.Duration(chance.Int64N(int64(2 * time.Second))))
		a.puppet.Kill()
		a.puppet = standby
	}
	for _, a := range st.actors { // one that had not worked yet ends with a server
		if a.puppet.Ended() {
			a.puppet.Kill()
			a.spawn(rig.Point{})
		}
	}
}
