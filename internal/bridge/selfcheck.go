package bridge

import (
	"context"
	"fmt"

	"github.com/tidemark-db/tidemark/internal/fault"
	"github.com/tidemark-db/tidemark/internal/warehouse"
)

// selfCheck makes sure that this server gives a query one state: a query over the real views reads the mark once.
// ClickHouse itself counts how often it evaluated a scalar subquery.
func (s *session) selfCheck(ctx context.Context) error {
	views := s.views()
	reads, err := CountMarkReads(ctx, s.db, views)
	if warehouse.Thrown(err) {
		views = s.whole(ctx, views)
		reads, err = CountMarkReads(ctx, s.db, views)
	}
	if err != nil {
		return err
	}
	if reads != 1 {
		return fault.New("use a ClickHouse version that tidemark was tested with, and leave enable_scalar_subquery_optimization and the analyzer on",
			"one query over the views read the mark %d times on this server, so it could see several states: %w", reads, errRefused)
	}
	return nil
}

// whole leaves out the views whose guard throws: somebody has changed the rows of a chunk by hand. Their queries fail until
// they are repaired; the others are not concerned.
func (s *session) whole(ctx context.Context, views []string) (out []string) {
	for _, v := range views {
		_, err := CountMarkReads(ctx, s.db, []string{v})
		if !warehouse.Thrown(err) {
			out = append(out, v)
			continue
		}
		s.log.Error().Err(err).Str("view", v).Str("try", "tidemark verify names what is damaged, tidemark resync --from-source repairs it").
			Msg("rows of this view are missing, or too many; its queries fail")
	}
	return out
}

// views lists the views of the tables and aggregates that the mark holds, quoted; others answer with an error.
func (s *session) views() (out []string) {
	for _, t := range s.tables {
		if s.live(t) {
			out = append(out, t.sql.View(), t.sql.View()) // twice: a table joined with itself
		}
		for _, a := range s.held(t) {
			out = append(out, a.View())
		}
	}
	return out
}

// maxChecked is how many views one self-check names.
const maxChecked = 20

// CountMarkReads runs one query over all the views and returns how many distinct reads of the mark it took.
func CountMarkReads(ctx context.Context, db *warehouse.Conn, views []string) (int64, error) {
	st := db.Database().SelfCheck(views[:min(len(views), maxChecked)])
	reads, err := db.ScalarReads(ctx, st)
	if err != nil {
		return 0, fmt.Errorf("self-check: %w", err)
	}
	return reads, nil
}
