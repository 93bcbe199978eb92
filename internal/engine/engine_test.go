package engine

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/tidemark-db/tidemark/internal/engine/supervise"
)

// ownerEnv makes the test binary an owner of engines that ends in the way it names.
const ownerEnv = "TIDEMARK_ENGINE_TEST_OWNER"

func TestMain(m *testing.M) {
	if end := os.Getenv(ownerEnv); end != "" {
		ownEngines(end)
		return
	}
	goleak.VerifyTestMain(m)
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func connectPostgres(ctx context.Context, t *testing.T, p *Postgres) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(ctx, p.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	return conn
}

func connectClickHouse(t *testing.T, c *ClickHouse) driver.Conn {
	t.Helper()
	options, err := clickhouse.ParseDSN(c.DSN("default"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// alive says whether the process exists and is not a zombie that only waits for an init to reap it.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func awaitGone(ctx context.Context, t *testing.T, pids []int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var left []int
		for _, pid := range pids {
			if alive(pid) {
				left = append(left, pid)
			}
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("processes %v are left", left)
		case <-tick.C:
		}
	}
}

// ownEngines starts both engines with a busy backend, says so, and ends as told.
func ownEngines(end string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT)
	defer stop()
	p, err := StartPostgres(ctx, PostgresOptions{Progress: os.Stderr})
	check(err)
	c, err := StartClickHouse(ctx, ClickHouseOptions{Progress: os.Stderr})
	check(err)
	conn, err := pgx.Connect(ctx, p.DSN("postgres"))
	check(err)
	// Such a backend does not look whether its postmaster lives.
	go func() {
		_, _ = conn.Exec(context.Background(), "SELECT count(*) FROM generate_series(1, 1000000000000)")
	}()
	fmt.Printf("ready %s %s\n", p.Dir(), c.Dir())
	switch end {
	case "panic":
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		panic("as told")
	case "wait":
		<-ctx.Done()
	}
	fmt.Printf("alive %v %v\n", alive(p.Pid()), alive(c.Pid()))
	check(c.Stop(context.Background()))
	check(p.Stop(context.Background()))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func TestNothingIsLeftWhenTheOwnerEnds(t *testing.T) {
	for name, how := range map[string]struct {
		end  string // ownEngines
		stop func(t *testing.T, owner *exec.Cmd)
		says string // the owner's last line
	}{
		"kill -9": {end: "wait", stop: func(t *testing.T, owner *exec.Cmd) { must(t, owner.Process.Kill()) }},
		"panic":   {end: "panic", stop: func(*testing.T, *exec.Cmd) {}},
		"Ctrl-C": {
			end: "wait", says: "alive true true",
			stop: func(t *testing.T, owner *exec.Cmd) { must(t, syscall.Kill(-owner.Process.Pid, syscall.SIGINT)) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			owner := exec.Command(os.Args[0])
			owner.Env = append(os.Environ(), ownerEnv+"="+how.end)
			owner.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does for a job
			stdin, err := owner.StdinPipe()
			must(t, err)
			stdout, err := owner.StdoutPipe()
			must(t, err)
			must(t, owner.Start())
			lines := bufio.NewScanner(stdout)
			if !lines.Scan() {
				t.Fatal("the owner did not start its engines")
			}
			dirs := strings.Fields(lines.Text())[1:]
			pids := supervise.Descendants(owner.Process.Pid)
			if len(pids) < 8 { // two supervisors, ClickHouse, the postmaster and its children
				t.Fatalf("found processes %v only", pids)
			}
			_ = stdin.Close()
			how.stop(t, owner)
			var last string
			for lines.Scan() {
				last = lines.Text()
			}
			_ = owner.Wait()
			awaitGone(ctx, t, pids)
			if last != how.says {
				t.Errorf("the owner's last line is %q, want %q", last, how.says)
			}
			for _, dir := range dirs {
				if exists(dir) {
					t.Errorf("temporary folder %s is left", dir)
				}
			}
		})
	}
}

func TestSupervisorKilled(t *testing.T) {
	ctx := testContext(t)
	c, err := StartClickHouse(ctx, ClickHouseOptions{})
	must(t, err)
	defer func() { must(t, c.Stop(ctx)) }()
	pid, supervisor := c.Pid(), parentOf(t, c.Pid())
	must(t, syscall.Kill(supervisor, syscall.SIGKILL))
	awaitGone(ctx, t, []int{supervisor, pid})
	<-c.Done()
	must(t, c.Start(ctx))
}

func parentOf(t *testing.T, pid int) (parent int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(text), ") ")
	var state string
	_, err = fmt.Sscan(rest, &state, &parent)
	must(t, err)
	return parent
}

func TestPortTaken(t *testing.T) {
	ctx := testContext(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, listener.Close()) }()
	taken := listener.Addr().(*net.TCPAddr).Port

	_, err = StartPostgres(ctx, PostgresOptions{Port: taken})
	if err == nil || !strings.Contains(err.Error(), "Address already in use") {
		t.Errorf("PostgreSQL on a taken port: %v; want its log's words", err)
	}
	_, err = StartClickHouse(ctx, ClickHouseOptions{Port: taken})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("ClickHouse on a taken port: %v; want its log's words", err)
	}
}

// TestReserve chooses many ports: each is one server's alone until that is discarded, so it finds its own free when it restarts.
func TestReserve(t *testing.T) {
	var first server
	defer func() { must(t, first.discard()) }()
	ports := make([]int, 500)
	for i := range ports {
		must(t, first.choose(&ports[i]))
		if slices.Contains(ports[:i], ports[i]) {
			t.Fatalf("port %d is given twice", ports[i])
		}
	}
	if _, err := net.Listen("unix", fmt.Sprintf("@tidemark-engine-port-%d", ports[0])); err == nil {
		t.Error("a reserved port can be reserved again")
	}
	must(t, first.discard())
	again, err := net.Listen("unix", fmt.Sprintf("@tidemark-engine-port-%d", ports[0]))
	must(t, err)
	must(t, again.Close())
}

// TestClickHouseSurvivesResets resets connections as killed clients do; clickhouse-local by itself ends at the first.
func TestClickHouseSurvivesResets(t *testing.T) {
	ctx := testContext(t)
	server, err := StartClickHouse(ctx, ClickHouseOptions{})
	must(t, err)
	defer func() { must(t, server.Stop(ctx)) }()
	for _, port := range []int{server.Port(), server.HTTPPort()} {
		for range 20 {
			conn, err := net.Dial("tcp", address(port))
			must(t, err)
			_, err = conn.Write([]byte("\x00\x05hello"))
			must(t, err)
			must(t, conn.(*net.TCPConn).SetLinger(0))
			must(t, conn.Close())
		}
	}
	must(t, server.answers(ctx))
	select {
	case <-server.Done():
		t.Error("the server ended")
	default:
	}
}
