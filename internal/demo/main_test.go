package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-db/tidemark/internal/engine"
	"github.com/tidemark-db/tidemark/internal/warehouse"
)

// small is a shop that is seeded at once.
var small = shopSize{stores: 5, products: 24, sales: 3000}

// servers are shared by the tests of this package and started by the first that needs them.
type servers struct {
	postgres   *engine.Postgres
	clickhouse *engine.ClickHouse
	shop       *shop
	users      *warehouse.Conn
}

var shared struct {
	once sync.Once
	servers
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func startShared(t *testing.T) *servers {
	t.Helper()
	shared.once.Do(func() { shared.err = shared.start(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return &shared.servers
}

func (s *servers) start(ctx context.Context) (err error) {
	if s.postgres, err = engine.StartPostgres(ctx, engine.PostgresOptions{Progress: os.Stderr}); err != nil {
		return err
	}
	if s.clickhouse, err = engine.StartClickHouse(ctx, engine.ClickHouseOptions{Progress: os.Stderr}); err != nil {
		return err
	}
	if s.shop, _, err = openShop(ctx, s.postgres.DSN, small); err != nil {
		return err
	}
	s.users, err = warehouse.Open(warehouse.Options{DSN: s.clickhouse.DSN(database), Reader: true})
	return err
}

func (s *servers) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	if s.users != nil {
		if err := s.users.Close(); err != nil {
			return err
		}
	}
	if s.shop != nil {
		s.shop.close()
	}
	d := demo{postgres: s.postgres, clickhouse: s.clickhouse}
	return d.stopServers(ctx)
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// openFolderOf is a temporary folder into which PostgreSQL's account may walk when the tests run as root.
func openFolderOf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "demo")
}

// watched is what a demo prints; it calls seen, once, when a line has the text.
type watched struct {
	mu   sync.Mutex
	text []byte
	find string
	once sync.Once
	seen func()
}

var _ io.Writer = (*watched)(nil)

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	if w.find != "" && strings.Contains(string(w.text), w.find) {
		w.once.Do(w.seen)
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}
