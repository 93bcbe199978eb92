package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/bridge"
	"github.com/tidemark-db/tidemark/internal/rig"
)

// served is a configuration file whose bridge serves at the returned address.
func served(t *testing.T, r *rig.Rig, more string) (file, url string) {
	t.Helper()
	return listening(t, r.ConfigFile(more))
}

// listening is a copy of a configuration file whose bridge serves at the returned address.
func listening(t *testing.T, file string) (copied, url string) {
	t.Helper()
	address := freeAddress(t)
	return write(t, strings.Replace(read(t, file), `listen: ""`, "listen: "+address, 1)), "http://" + address
}

// TestPage looks at the status page in a browser: what it says, a resync from begin to end, and that it says nothing wrong.
func TestPage(t *testing.T) {
	t.Parallel()
	r := shop(t)
	file, url := served(t, r, "schedule: {resync: \"\"}"+shopTables)
	fold := newHold("fold")
	var failing atomic.Bool
	b := r.Run(file, bridge.Options{Hook: func(ctx context.Context, statement string, after bool) error {
		if statement == "insert_mark" && failing.Load() {
			return errors.New("ClickHouse's disk is full, says this test")
		}
		return fold.hook(ctx, statement, after)
	}})
	page := rig.Browse(t, url)
	r.WaitLSN(2)
	awaitText(t, r, page, "#state", "running")
	awaitText(t, r, page, "[data-table='public.sales']", "10 rows")
	awaitText(t, r, page, "[data-table='public.stores']", "mirrored")
	screenshots(t, page, "quiet")

	// Late changes, without a reload.
	execute(t, r, "UPDATE sales SET note = 'late' WHERE id IN (SELECT id FROM sales ORDER BY id DESC LIMIT 3)")
	awaitText(t, r, page, "[data-table='public.sales'] .late", "3")
	awaitText(t, r, page, "[data-table='public.sales'] .facts", "partitions dirty")
	awaitText(t, r, page, "#asof", "as of 20")
	r.Eventually(30*time.Second, "points of the charts", func(context.Context) error {
		if drawn := page.Number("document.querySelectorAll('#charts path[d^=M]').length"); drawn < 6 {
			return fmt.Errorf("%d lines", drawn)
		}
		return nil
	})

	// A resync from begin to end.
	folded := make(chan error, 1)
	go func() { // ends with the fold
		_, err := b.Resync(t.Context(), bridge.Request{})
		folded <- err
	}()
	<-fold.reached
	awaitText(t, r, page, "[data-job=fold][data-state=running]", "fold public.sales")
	screenshots(t, page, "folding")
	close(fold.release)
	if err := <-folded; err != nil {
		t.Fatal(err)
	}
	awaitText(t, r, page, "[data-job=fold][data-state=done]", "fold public.sales")
	awaitText(t, r, page, "[data-table='public.sales'] .late", "LATE\n0")
	screenshots(t, page, "folded")

	// An error, and its end.
	failing.Store(true)
	execute(t, r, "INSERT INTO stores VALUES (2, 'two')")
	awaitText(t, r, page, ".failure", "disk is full")
	awaitText(t, r, page, "#state", "interrupted")
	screenshots(t, page, "failing")
	failing.Store(false)
	awaitText(t, r, page, ".failure.over", "disk is full")
	awaitText(t, r, page, "#state", "running")

	// A table that is held, and what to do about it.
	execute(t, r, "ALTER TABLE stores RENAME TO away")
	awaitText(t, r, page, "[data-table='public.stores'] .held", "Queries fail: table public.stores does not exist")
	awaitText(t, r, page, "[data-table='public.stores']", "What to do: check the name")
	awaitText(t, r, page, "#state", "held")
	screenshots(t, page, "held")
	execute(t, r, "ALTER TABLE away RENAME TO stores")
	awaitText(t, r, page, "#state", "running")

	for _, said := range page.Said() {
		t.Errorf("the console says %s", said)
	}
	for _, request := range page.Requests() {
		if !strings.HasPrefix(request, url+"/") && !strings.HasPrefix(request, "data:") {
			t.Errorf("the page asked for %s", request)
		}
	}
	_ = b.Stop()
	awaitText(t, r, page, "#state", "the bridge does not answer")
}

func awaitText(t *testing.T, r *rig.Rig, page *rig.Page, selector, want string) {
	t.Helper()
	r.Eventually(30*time.Second, fmt.Sprintf("%q in %s", want, selector), func(context.Context) error {
		if text := page.Text(selector); !strings.Contains(text, want) {
			return errors.New(text)
		}
		return nil
	})
}

// screenshots takes pictures in the sizes and colours that people use, where TIDEMARK_SCREENSHOTS names a folder for them,
// and sees that nothing needs sideways scrolling in any.
func screenshots(t *testing.T, page *rig.Page, name string) {
	t.Helper()
	for _, width := range []int64{375, 1280} {
		for _, colours := range []string{"light", "dark"} {
			page.Screen(width, colours)
			if overflow := page.Number("document.documentElement.scrollWidth - document.documentElement.clientWidth"); overflow > 0 {
				t.Errorf("at a width of %d the page is %d pixels too wide", width, overflow)
			}
			png := page.Screenshot()
			if dir := os.Getenv("TIDEMARK_SCREENSHOTS"); dir != "" {
				file := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, colours))
				if err := os.WriteFile(file, png, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
