package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/observe"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// Status is the state that queries see, and how far PostgreSQL is ahead of it.
type Status struct {
	Epoch      uint64        `json:"epoch"`
	Term       uint64        `json:"term"`
	LSN        string        `json:"lsn"`
	CommitTime time.Time     `json:"commit_time"`
	LagBytes   uint64        `json:"lag_bytes"` // WAL that PostgreSQL has and the newest mark has not
	Running    bool          `json:"running"`   // a bridge holds the slot
	Slot       SlotStatus    `json:"slot"`
	Tables     []TableStatus `json:"tables"`

	Jobs []observe.JobStatus `json:"jobs"` // that run, where the bridge answers at http.listen
}

// SlotStatus is what the slot costs the source.
type SlotStatus struct {
	Name          string `json:"name"`
	ConfirmedLSN  string `json:"confirmed_lsn"`
	WALStatus     string `json:"wal_status"`
	RetainedBytes int64  `json:"retained_bytes"`
	Transactions  int64  `json:"held_transactions"` // age of the oldest transaction whose catalogue rows vacuum leaves for the slot
}

// TableStatus is one table's part of the newest mark. A table that is not in it yet is not loaded.
type TableStatus struct {
	Table          string     `json:"table"`
	Loaded         bool       `json:"loaded"`
	SplitDate      *time.Time `json:"split_date"`
	RTRows         uint64     `json:"rt_rows"`
	HistoricRows   uint64     `json:"historic_rows"` // live: without the masked ones
	LateRows       uint64     `json:"late_rows"`
	Masks          uint64     `json:"masks"`
	RTChunks       int        `json:"rt_chunks"`
	HistoricChunks int        `json:"historic_chunks"`

	Aggregates []AggregateStatus `json:"aggregates,omitempty"`

	// Where the bridge answers at http.listen: why queries of the view fail; the partitions that were attached in PostgreSQL, or
	// left it, and are yet to be read again; since when every partition was found equal to PostgreSQL's (nil: some never was),
	// how many rows differed then, and how many partitions of HISTORIC wait for a fold.
	Held            *observe.Failure `json:"held,omitempty"`
	Waiting         []string         `json:"waiting_partitions,omitempty"`
	Proven          *time.Time       `json:"proven,omitempty"`
	Differences     uint64           `json:"differing_rows,omitempty"`
	DirtyPartitions int              `json:"dirty_partitions,omitempty"`
}

// AggregateStatus says whether the newest mark holds an aggregate and, until then, how much of HISTORIC is computed.
type AggregateStatus struct {
	Name     string `json:"name"`
	Ready    bool   `json:"ready"`
	Computed int    `json:"computed_chunks"`
	Chunks   int    `json:"chunks"` // clean ones of HISTORIC
}

// ReadStatus reads both servers; it needs no running bridge.
func ReadStatus(ctx context.Context, cfg *config.Config) (st Status, err error) {
	mark, err := readMark(ctx, cfg)
	if err != nil {
		return st, err
	}
	src := SourceConfig(cfg)
	_, end, err := cdc.ReadIdentity(ctx, src)
	if err != nil {
		return st, err
	}
	conn, err := cdc.Connect(ctx, src)
	if err != nil {
		return st, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	slot, err := cdc.SlotInfo(ctx, conn, src.Slot)
	if err != nil {
		return st, err
	}
	st = Status{
		Epoch: uint64(mark.Epoch), Term: uint64(mark.Term), LSN: mark.LSN.String(), CommitTime: mark.CommitTime,
		Running: slot.Active,
		Slot: SlotStatus{
			Name: src.Slot, ConfirmedLSN: slot.ConfirmedFlush.String(), WALStatus: slot.WALStatus, RetainedBytes: slot.RetainedBytes, Transactions: slot.Transactions,
		},
	}
	if end > mark.LSN {
		st.LagBytes = uint64(end - mark.LSN)
	}
	seen := seenBy(ctx, cfg)
	st.Jobs = runningJobs(seen)
	for _, t := range cfg.Tables {
		state, ok := mark.Tables[ViewName(t.Name.Schema, t.Name.Name)]
		status := tableStatus(t.Name.String(), state, ok)
		for _, of := range seen.Tables {
			if of.Table == status.Table {
				status.Held, status.Waiting = of.Held, of.Waiting
				status.Proven, status.Differences, status.DirtyPartitions = of.Proven, of.Differences, of.DirtyPartitions
			}
		}
		if status.Aggregates, err = aggregateStatus(ctx, cfg, t, mark); err != nil {
			return st, err
		}
		st.Tables = append(st.Tables, status)
	}
	return st, nil
}

// seenBy asks the bridge; one that does not answer has nothing to tell of.
func seenBy(ctx context.Context, cfg *config.Config) observe.Snapshot {
	seen, err := askBridge(ctx, cfg)
	if err != nil {
		return observe.Snapshot{}
	}
	return seen
}

func runningJobs(seen observe.Snapshot) []observe.JobStatus {
	return slices.DeleteFunc(list(seen.Jobs), func(j observe.JobStatus) bool { return j.Ended != nil })
}

func tableStatus(name string, t splitdate.Table, loaded bool) TableStatus {
	out := TableStatus{
		Table: name, Loaded: loaded,
		RTRows: t.Rows(t.RT), HistoricRows: t.Rows(t.Historic()) - t.Rows(t.Masks), LateRows: t.Rows(t.Late), Masks: t.Rows(t.Masks),
		RTChunks: len(t.RT), HistoricChunks: len(t.Historic()),
	}
	if loaded && !t.Mirrored {
		at := t.Split.Time()
		out.SplitDate = &at
	}
	return out
}

// readMark reads the newest mark; that there is none yet is an error.
func readMark(ctx context.Context, cfg *config.Config) (splitdate.Mark, error) {
	db, err := OpenWarehouse(ctx, cfg, Options{})
	if err != nil {
		return splitdate.Mark{}, err
	}
	defer db.Close()
	mark, ok, err := splitdate.NewStore(db).Newest(ctx)
	if err != nil || ok {
		return mark, err
	}
	return splitdate.Mark{}, fault.New("start it: tidemark run -c …", "database %s has no mark: tidemark never ran on it", cfg.ClickHouse.Database)
}

// waitEvery is how often Wait looks.
const waitEvery = 50 * time.Millisecond

// Wait returns the epoch of a mark that holds the position, once there is one. It ends with ctx.
func Wait(ctx context.Context, cfg *config.Config, lsn cdc.LSN) (uint64, error) {
	db, err := OpenWarehouse(ctx, cfg, Options{})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	store := splitdate.NewStore(db)
	for {
		mark, ok, err := store.Newest(ctx)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // the driver was quicker than ctx to notice
			return 0, fmt.Errorf("wait for %s: %w", lsn, context.DeadlineExceeded)
		case err != nil:
			return 0, err
		case ok && mark.LSN >= lsn:
			return uint64(mark.Epoch), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for %s: %w", lsn, ctx.Err())
		case <-time.After(waitEvery):
		}
	}
}

// DDL returns every DDL statement that a first run makes in ClickHouse, which is asked for the types of aggregates.
func DDL(ctx context.Context, cfg *config.Config) (out []string, err error) {
	plans, err := aggregatePlans(ctx, cfg)
	if err != nil {
		return nil, err
	}
	names := plans[0].sql.Database
	for _, st := range slices.Concat(names.CreateDatabases(), names.CreateMarks()) {
		out = append(out, st.Text)
	}
	out = append(out, names.CreateCurrent().Text)
	for _, p := range plans {
		for _, st := range slices.Concat(p.sql.CreateTables(), p.sql.CreateRegionViews(), []sql.Statement{p.sql.CreateView()}) {
			out = append(out, st.Text)
		}
		if p.sql.Feed {
			out = append(out, p.sql.CreateFeedView().Text)
		}
		for _, a := range p.aggregates {
			for _, st := range slices.Concat(a.CreateTables(), a.CreateRegionViews(), []sql.Statement{a.CreateView()}) {
				out = append(out, st.Text)
			}
		}
	}
	return out, nil
}

// errNoTable is in the chain of errors about a table that a command names and the configuration does not.
var errNoTable = errors.New("no such table")

// RollNow asks the running bridge to roll, or rolls itself when none runs.
func RollNow(ctx context.Context, cfg *config.Config, log zerolog.Logger) ([]Rolled, error) {
	return doNow(ctx, cfg, log, jobRoll, Request{}, nil, func(r jobResult) []Rolled { return r.rolled })
}

// ResyncNow asks the running bridge to fold tables, or does it itself when none runs.
func ResyncNow(ctx context.Context, cfg *config.Config, log zerolog.Logger, request Request, watch func(observe.JobStatus)) ([]Folded, error) {
	request.FromSource = false
	return doNow(ctx, cfg, log, jobResync, request, watch, func(r jobResult) []Folded { return r.folded })
}

// ReloadNow asks the running bridge to read rows from PostgreSQL again and to put them in the place of what it has, or does
// it itself when none runs.
func ReloadNow(ctx context.Context, cfg *config.Config, log zerolog.Logger, request Request, watch func(observe.JobStatus)) ([]Reread, error) {
	request.FromSource = true
	return doNow(ctx, cfg, log, jobResync, request, watch, func(r jobResult) []Reread { return r.reread })
}

// VerifyNow asks the running bridge to compare rows with PostgreSQL, or does it itself when none runs.
func VerifyNow(ctx context.Context, cfg *config.Config, log zerolog.Logger, request Request, watch func(observe.JobStatus)) ([]Reread, error) {
	return doNow(ctx, cfg, log, jobVerify, request, watch, func(r jobResult) []Reread { return r.reread })
}

// doNow has the running bridge do a job, or does it in a session of its own when none runs.
func doNow[T any](ctx context.Context, cfg *config.Config, log zerolog.Logger, kind jobKind, request Request, watch func(observe.JobStatus), list func(jobResult) []T) ([]T, error) {
	stop := watchJobs(ctx, kind, watch, func() ([]observe.JobStatus, error) { return askJobs(ctx, cfg) })
	done, answered, err := ask[T](ctx, cfg, kind, request)
	stop()
	if answered {
		return done, err
	}
	b := New(cfg, log, Options{NoLoads: true})
	defer watchJobs(ctx, kind, watch, func() ([]observe.JobStatus, error) { return b.seen.Snapshot(0).Jobs, nil })()
	result, err := b.doAlone(ctx, kind, request)
	return list(result), err
}

// watchEvery is how often a watcher is told how far a job is.
const watchEvery = 250 * time.Millisecond

// watchJobs tells watch about the job under way, until the returned function is called.
func watchJobs(ctx context.Context, kind jobKind, watch func(observe.JobStatus), jobs func() ([]observe.JobStatus, error)) (stop func()) {
	if watch == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ends with ctx, awaited by stop
		defer close(done)
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			list, err := jobs()
			i := slices.IndexFunc(list, func(j observe.JobStatus) bool { return j.Ended == nil && slices.Contains(shownAs[kind], j.Kind) })
			if err == nil && i >= 0 {
				watch(list[i])
			}
		}
	}()
	return func() { cancel(); <-done }
}

// shownAs are the kinds under which the parts of a job are observed.
var shownAs = map[jobKind][]string{jobResync: {observe.Fold, observe.Load}, jobVerify: {observe.Verify}}

// askJobs asks the running bridge what is under way.
func askJobs(ctx context.Context, cfg *config.Config) ([]observe.JobStatus, error) {
	seen, err := askBridge(ctx, cfg)
	return seen.Jobs, err
}

// askBridge asks the running bridge for what its page shows, but for the charts.
func askBridge(ctx context.Context, cfg *config.Config) (seen observe.Snapshot, err error) {
	if cfg.HTTP.Listen == "" {
		return seen, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.HTTP.Listen+"/status.json?after="+strconv.FormatInt(math.MaxInt64-1, 10), http.NoBody)
	if err != nil {
		return seen, fmt.Errorf("ask the bridge: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return seen, fmt.Errorf("ask the bridge: %w", err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&seen); err != nil {
		return seen, fmt.Errorf("read what the bridge answers: %w", err)
	}
	return seen, nil
}

// doAlone does a job in a session of its own, which follows the stream as long as that takes.
func (b *Bridge) doAlone(ctx context.Context, kind jobKind, request Request) (jobResult, error) {
	return untilSteady(func() (jobResult, error) { return b.doInSession(ctx, kind, request) })
}

func (b *Bridge) doInSession(ctx context.Context, kind jobKind, request Request) (jobResult, error) {
	s, err := b.openAlone(ctx)
	if err != nil {
		return jobResult{}, err
	}
	defer s.close()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { // ends with ctx, awaited below
		ended <- s.guarded(ctx, s.run)
		cancel()
	}()
	result, err := b.do(ctx, kind, request)
	cancel()
	if failed := <-ended; failed != nil {
		return result, failed
	}
	return result, err
}

// openAlone opens a session where no bridge runs.
func (b *Bridge) openAlone(ctx context.Context) (*session, error) {
	s, err := b.open(ctx)
	if errors.Is(err, cdc.ErrLocked) || errors.Is(err, cdc.ErrSlotInUse) && bridgeRuns(ctx, b.config()) {
		return nil, fault.New("set http.listen to an address that this command reaches", "a bridge runs, but does not answer at http.listen %q: %w", b.config().HTTP.Listen, err)
	}
	return s, err
}

// ask has the running bridge do a job; answered is false when none listens.
func ask[T any](ctx context.Context, cfg *config.Config, kind jobKind, request Request) (done []T, answered bool, err error) {
	if cfg.HTTP.Listen == "" {
		return nil, false, nil
	}
	asked, err := json.Marshal(request)
	if err != nil {
		return nil, true, fmt.Errorf("ask for a %s: %w", kind, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+cfg.HTTP.Listen+"/jobs/"+string(kind), bytes.NewReader(asked))
	if err != nil {
		return nil, true, fmt.Errorf("ask for a %s: %w", kind, err)
	}
	token, err := readToken(cfg.HTTP.TokenFile)
	if err != nil {
		return nil, true, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, ctx.Err() != nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256<<20))
	if err != nil {
		return nil, true, fmt.Errorf("ask for a %s: %w", kind, err)
	}
	if resp.StatusCode != http.StatusOK {
		try := resp.Header.Get(tryHeader)
		if try == "" {
			try = "see the log of the running bridge, and http.token_file"
		}
		return nil, true, fault.New(try,
			"the bridge at %s answered %s: %s", cfg.HTTP.Listen, resp.Status, bytes.TrimSpace(body))
	}
	if err := json.Unmarshal(body, &done); err != nil {
		return nil, true, fmt.Errorf("read the answer of the bridge at %s: %w", cfg.HTTP.Listen, err)
	}
	return done, true, nil
}

// Uninstall drops the slot, or all that tidemark has in ClickHouse, or both. It refuses while a bridge runs.
func Uninstall(ctx context.Context, cfg *config.Config, slot, data bool) error {
	lock, err := cdc.AcquireLock(ctx, SourceConfig(cfg))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if slot {
		if err := cdc.DropSlot(ctx, SourceConfig(cfg)); err != nil {
			return err
		}
	}
	if !data {
		return nil
	}
	db, err := OpenWarehouse(ctx, cfg, Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	for _, st := range db.Database().Drop(viewNames(ctx, cfg)) {
		if err := db.Exec(ctx, st, warehouse.Params{}); err != nil {
			return err
		}
	}
	return nil
}

// viewNames are those of the configured tables and aggregates, and of the newest mark.
func viewNames(ctx context.Context, cfg *config.Config) []string {
	names := map[string]bool{}
	for _, t := range cfg.Tables {
		name := ViewName(t.Name.Schema, t.Name.Name)
		names[name] = true
		if t.ChangeFeed > 0 {
			names[name+sql.FeedSuffix] = true
		}
		for _, a := range t.Aggregates {
			names[a.Name] = true
		}
	}
	if mark, err := readMark(ctx, cfg); err == nil {
		for name := range mark.Tables {
			names[name] = true
		}
		for name := range mark.Aggregates {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
