package bridge

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidemark-db/tidemark/cdc"
	"github.com/tidemark-db/tidemark/internal/load"
	"github.com/tidemark-db/tidemark/internal/observe"
)

// lookEvery is how often PostgreSQL is asked what the slot keeps.
const lookEvery = 10 * time.Second

// watchSource asks PostgreSQL about the slot, and about partitions, until ctx ends, on a session of its own: what the slot
// keeps grows just when the bridge does not work.
func (b *Bridge) watchSource(ctx context.Context) {
	var conn *pgx.Conn
	defer func() { closeSession(ctx, conn) }()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		var err error
		if conn, err = b.look(ctx, conn); err != nil {
			b.log.Debug().Err(err).Msg("ask about the slot")
			closeSession(ctx, conn)
			conn = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-b.opened:
		}
	}
}

// look asks once, on conn or, where that is nil, on a new session, which it returns.
func (b *Bridge) look(ctx context.Context, conn *pgx.Conn) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	source := SourceConfig(b.config())
	source.ApplicationName = "tidemark status"
	var err error
	if conn == nil {
		if conn, err = cdc.Connect(ctx, source); err != nil {
			return nil, err
		}
	}
	at := time.Now()
	leaves, err := cdc.ReadLeaves(ctx, conn, tableNames(b.config()))
	if err != nil {
		return conn, err
	}
	slot, err := cdc.SlotInfo(ctx, conn, source.Slot)
	if err != nil {
		return conn, err
	}
	seen := observe.Source{
		Slot: source.Slot, WALStatus: slot.WALStatus, Active: slot.Active, RetainedBytes: slot.RetainedBytes, Transactions: slot.Transactions,
		End: slot.RestartLSN + cdc.LSN(slot.RetainedBytes),
	}
	b.tell(look{at, seen.End, leaves})
	if !slot.Exists {
		seen.WALStatus = observe.NoSlot
	}
	b.seen.Looked(seen)
	return conn, nil
}

// tell puts a look where the session takes it, in place of an older one that nobody took.
func (b *Bridge) tell(l look) {
	select {
	case <-b.looks:
	default:
	}
	b.looks <- l // nobody else sends
}

// lookSoon has PostgreSQL asked at once.
func (b *Bridge) lookSoon() {
	select {
	case b.opened <- struct{}{}:
	default: // one look is enough
	}
}

func closeSession(ctx context.Context, conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	conn.Close(ctx)
}

// observed are the configured tables as the page shows them. Of those that cannot be worked on, no mark holds a row.
func (s *session) observed() (out []observe.Table) {
	for i := range s.cfg.Tables {
		name := s.cfg.Tables[i].Name
		seen := observe.Table{Name: name.String(), View: ViewName(name.Schema, name.Name)}
		if t := s.bySlot[seen.Name]; t != nil {
			seen.Partition = load.Period(t.sql)
		}
		out = append(out, seen)
	}
	return out
}

// received counts the changes of a batch.
func (s *session) received(batch *cdc.Batch) {
	n := 0
	for i := range batch.Events {
		if k := batch.Events[i].Kind; k == cdc.Change || k == cdc.Truncate {
			n++
		}
	}
	s.seen.Received(n, batch.Bytes)
}
