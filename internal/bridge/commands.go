package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/config"
	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/splitdate"
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
}

// SlotStatus is what the slot costs the source.
type SlotStatus struct {
	Name          string `json:"name"`
	ConfirmedLSN  string `json:"confirmed_lsn"`
	WALStatus     string `json:"wal_status"`
	RetainedBytes int64  `json:"retained_bytes"`
}

// TableStatus is one table's part of the newest mark. A table that is not in it yet is not loaded.
type TableStatus struct {
	Table          string     `json:"table"`
	Loaded         bool       `json:"loaded"`
	SplitDate      *time.Time `json:"split_date"`
	RTRows         uint64     `json:"rt_rows"`
	HistoricRows   uint64     `json:"historic_rows"`
	LateRows       uint64     `json:"late_rows"`
	Masks          uint64     `json:"masks"`
	RTChunks       int        `json:"rt_chunks"`
	HistoricChunks int        `json:"historic_chunks"`

	Aggregates []AggregateStatus `json:"aggregates,omitempty"`
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
			Name: src.Slot, ConfirmedLSN: slot.ConfirmedFlush.String(), WALStatus: slot.WALStatus, RetainedBytes: slot.RetainedBytes,
		},
	}
	if end > mark.LSN {
		st.LagBytes = uint64(end - mark.LSN)
	}
	for _, t := range cfg.Tables {
		state, ok := mark.Tables[ViewName(t.Name.Schema, t.Name.Name)]
		status := tableStatus(t.Name.String(), state, ok)
		if status.Aggregates, err = aggregateStatus(ctx, cfg, t, mark); err != nil {
			return st, err
		}
		st.Tables = append(st.Tables, status)
	}
	return st, nil
}

func tableStatus(name string, t splitdate.Table, loaded bool) TableStatus {
	out := TableStatus{
		Table: name, Loaded: loaded,
		RTRows: t.Rows(t.RT), HistoricRows: t.Rows(t.Historic()), LateRows: t.Rows(t.Late), Masks: t.Rows(t.Masks),
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
		for _, st := range append(p.sql.CreateTables(), p.sql.CreateView()) {
			out = append(out, st.Text)
		}
		for _, a := range p.aggregates {
			for _, st := range append(a.CreateTables(), a.CreateView()) {
				out = append(out, st.Text)
			}
		}
	}
	return out, nil
}

// RollNow asks the running bridge to roll, or rolls itself when none runs.
func RollNow(ctx context.Context, cfg *config.Config, log zerolog.Logger) ([]Rolled, error) {
	rolled, answered, err := ask[Rolled](ctx, cfg, jobRoll)
	if answered {
		return rolled, err
	}
	s, err := openAlone(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.roll(ctx)
}

// ResyncNow asks the running bridge to fold every table, or does it itself when none runs.
func ResyncNow(ctx context.Context, cfg *config.Config, log zerolog.Logger) ([]Folded, error) {
	folded, answered, err := ask[Folded](ctx, cfg, jobResync)
	if answered {
		return folded, err
	}
	s, err := openAlone(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	defer s.close()
	reply := make(chan jobResult, 1)
	s.beginResync(ctx, reply)
	for s.folding != nil {
		if err := s.endFold(ctx, <-s.foldDone()); err != nil {
			return nil, err
		}
	}
	return (<-reply).folded, nil
}

// openAlone opens a session where no bridge runs.
func openAlone(ctx context.Context, cfg *config.Config, log zerolog.Logger) (*session, error) {
	s, err := New(cfg, log, Options{}).open(ctx)
	if errors.Is(err, cdc.ErrLocked) || errors.Is(err, cdc.ErrSlotInUse) && bridgeRuns(ctx, cfg) {
		return nil, fault.New("set http.listen to an address that this command reaches", "a bridge runs, but does not answer at http.listen %q: %w", cfg.HTTP.Listen, err)
	}
	return s, err
}

// ask has the running bridge do a job; answered is false when none listens.
func ask[T any](ctx context.Context, cfg *config.Config, kind jobKind) (done []T, answered bool, err error) {
	if cfg.HTTP.Listen == "" {
		return nil, false, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+cfg.HTTP.Listen+"/jobs/"+string(kind), http.NoBody)
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
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, true, fmt.Errorf("ask for a %s: %w", kind, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, true, fault.New("see the log of the running bridge, and http.token_file",
			"the bridge at %s answered %s: %s", cfg.HTTP.Listen, resp.Status, bytes.TrimSpace(body))
	}
	return done, true, json.Unmarshal(body, &done)
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
		names[ViewName(t.Name.Schema, t.Name.Name)] = true
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
