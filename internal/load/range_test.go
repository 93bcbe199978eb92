package load

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-db/tidemark/internal/block"
	"github.com/tidemark-db/tidemark/internal/warehouse"
	"github.com/tidemark-db/tidemark/internal/warehouse/warehousetest"
	"github.com/tidemark-db/tidemark/splitdate"
	"github.com/tidemark-db/tidemark/sql"
)

// PostgreSQL's types of date columns.
const (
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
)

// TestRangesAgree asks the loader and ClickHouse of the same dates whether they lie in the same ranges: a row of which they
// think otherwise would be loaded and stay, or be neither.
func TestRangesAgree(t *testing.T) {
	db := warehousetest.Open(t, "shop")
	for _, c := range []struct {
		oid      uint32
		override string
		texts    []string
	}{
		{oidDate, "", []string{"1900-01-01", "1900-01-02", "1969-12-31", "2018-11-03", "2018-11-04", "2018-11-05", "2024-11-03", "2299-12-30", "2299-12-31"}},
		{oidDate, "Date", []string{"1970-01-01", "1970-01-02", "2018-11-03", "2018-11-04", "2024-11-03", "2149-06-05", "2149-06-06"}},
		{oidTimestamp, "", []string{"1971-01-02 00:00:00", "2018-11-04 01:00:00", "2024-11-03 00:30:00.000001", "2299-12-30 23:59:59.999999"}},
		{oidTimestampTZ, "", []string{"1900-01-02 00:00:00+00", "2018-11-04 03:00:00+00", "2024-11-03 04:30:00.000001+00", "2299-12-30 23:59:59.999999+00"}},
	} {
		for _, zone := range []string{"UTC", "America/Sao_Paulo", "America/Havana", "Asia/Kathmandu", "Pacific/Apia"} {
			t.Run(fmt.Sprintf("%d %s %s", c.oid, c.override, zone), func(t *testing.T) { agree(t, db, c.oid, zone, c.override, c.texts) })
		}
	}
}

func agree(t *testing.T, db *warehouse.Conn, oid uint32, zone, override string, texts []string) {
	typ, err := sql.MapType(sql.SourceColumn{Name: "d", TypeOID: oid, TypeMod: -1}, zone, sql.Override{Type: override})
	if err != nil {
		t.Fatal(err)
	}
	table, err := sql.NewTable(sql.TableConfig{Database: "shop", Source: "public.items", Name: "items", Key: []string{"id"}, Date: "d", Columns: []sql.Column{
		{Name: "id", Type: sql.Type{Name: "Int64", Kind: sql.KindInt64}}, {Name: "d", Type: typ},
	}})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := block.NewBuilder([]block.Column{{Name: "d", Type: typ}})
	if err != nil {
		t.Fatal(err)
	}
	bounds := []splitdate.Instant{splitdate.Ancient - 1, splitdate.InstantOf(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)), splitdate.InstantOf(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))}
	base := strings.TrimSuffix(strings.TrimPrefix(typ.Name, "Nullable("), ")")
	var values []string
	for _, text := range texts {
		if err := rows.AppendText(0, []byte(text)); err != nil {
			t.Fatal(err)
		}
		at, _ := rows.Instant(0, rows.Rows()-1)
		if oid == oidDate {
			values = append(values, fmt.Sprintf("CAST(%s AS %s)", sql.Literal(text), base))
		} else {
			values = append(values, fmt.Sprintf("CAST(fromUnixTimestamp64Micro(%d) AS %s)", at, base))
		}
		for _, by := range []time.Duration{0, time.Microsecond, time.Hour, 14 * time.Hour, 24 * time.Hour} {
			bounds = append(bounds, splitdate.Instant(at-by.Microseconds()), splitdate.Instant(at+by.Microseconds()))
		}
	}
	rows.AppendZero(0) // NULL
	ask := sql.Statement{Name: "ranges", Text: fmt.Sprintf("SELECT %s FROM (SELECT arrayJoin([%s, NULL]) AS d)", table.InRange(), strings.Join(values, ", "))}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		rng := splitdate.Range{From: bounds[random.IntN(len(bounds))], To: bounds[random.IntN(len(bounds))]}
		switch random.IntN(6) {
		case 0:
			rng.From = splitdate.Everything.From
		case 1:
			rng.To = splitdate.Everything.To
		}
		row := 0
		err := db.Query(t.Context(), ask, rng.Params(splitdate.Since{}), func(r warehouse.Rows) error {
			var in uint8
			if err := r.Scan(&in); err != nil {
				return err
			}
			at, dated := rows.Instant(0, row)
			if want := rng.Contains(splitdate.Instant(at), dated); want != (in == 1) {
				t.Errorf("%s: row %d (%s) is within: the loader says %v, ClickHouse %d", rng, row, append(texts, "NULL")[row], want, in)
			}
			row++
			return nil
		})
		if err != nil || row != len(texts)+1 {
			t.Fatalf("%s: %d rows, %v", rng, row, err)
		}
	}
}
