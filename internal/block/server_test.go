package block

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// showIn asks the server for the wall clocks of a zone.
func showIn(ctx context.Context, ch driver.Conn, zone string) func([]int64) ([]string, error) {
	return func(micros []int64) ([]string, error) {
		var texts []string
		err := ch.QueryRow(ctx, "SELECT arrayMap(x -> toString(fromUnixTimestamp64Micro(x, '"+zone+"')), {micros:Array(Int64)})",
			driver.NamedValue{Name: "micros", Value: micros}).Scan(&texts)
		return texts, err
	}
}

// TestServerShowsWhatWasRead looks at every change of the offset of zones with every sort of history: what is taken at
// all must be shown as it was written. Where the machine's zone database differs from the server's, AgreesFrom must say
// so, and the builder then refuses.
func TestServerShowsWhatWasRead(t *testing.T) {
	ctx := testContext(t)
	ch := startClickHouse(ctx, t)
	for _, name := range []string{
		"UTC", "America/New_York", "America/Toronto", "America/St_Johns", "America/Sao_Paulo", "America/Havana",
		"Europe/London", "Europe/Berlin", "Europe/Amsterdam", "Europe/Dublin", "Africa/Casablanca", "Africa/Monrovia",
		"Africa/Cairo", "Asia/Tehran", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Gaza", "Antarctica/Casey", "Antarctica/Troll",
		"Australia/Lord_Howe", "Pacific/Apia", "Pacific/Guam", "Pacific/Chatham", "America/Kralendijk",
	} {
		t.Run(name, func(t *testing.T) {
			typ := typeOf(t, oidTimestamp, name, "")
			from, err := AgreesFrom(typ.Zone, showIn(ctx, ch, name))
			must(t, err)
			if from.Year() > 1992 {
				t.Errorf("the zone databases agree from %s on only", from)
			}
			b, err := NewBuilder([]Column{{Name: "c0", Type: typ, ExactFrom: from}})
			must(t, err)
			var sent []string
			for _, wall := range wallsAround(b.cols[0].zone) {
				text := wallText(time.Unix(wall, 0).UTC())
				if b.AppendText(0, []byte(text)) == nil {
					sent = append(sent, text)
				}
			}
			table := "z_" + strings.ReplaceAll(name, "/", "_")
			createTable(ctx, t, ch, table, b)
			send(ctx, t, ch, table, b, 0)
			var wrong []string
			rows, err := ch.Query(ctx, fmt.Sprintf("SELECT toString(c0) FROM %s ORDER BY _i", table))
			must(t, err)
			defer func() { _ = rows.Close() }()
			for i := 0; rows.Next(); i++ {
				var got string
				must(t, rows.Scan(&got))
				if got != sent[i] {
					wrong = append(wrong, sent[i]+" came back as "+got)
				}
			}
			must(t, rows.Err())
			if len(wrong) > 0 {
				t.Errorf("%d of %d wrong, the first: %s", len(wrong), len(sent), wrong[0])
			}
			if len(sent) < 11000 { // Liberia had an odd offset until 1972
				t.Errorf("only %d wall clocks were taken", len(sent))
			}
		})
	}
}

func wallsAround(z *zone) []int64 {
	var walls []int64
	for i := 1; i < len(z.periods); i++ {
		for _, offset := range []int64{z.periods[i-1].offset, z.periods[i].offset} {
			for _, d := range []int64{-49 * 3600, -86400, -5400, -1, 0, 1, 59, 1800, 3600, 86400, 49 * 3600} {
				walls = append(walls, z.periods[i].from+offset+d)
			}
		}
	}
	for day := firstDay; day <= lastDay; day += 10 {
		walls = append(walls, day*secondsPerDay+day*7919%secondsPerDay)
	}
	return append(walls, firstDay*secondsPerDay, (lastDay+1)*secondsPerDay-1)
}

func TestAgreesFromFindsADisagreement(t *testing.T) {
	loc, err := time.LoadLocation("America/New_York")
	must(t, err)
	wrongUntil := time.Date(1951, 6, 1, 0, 0, 0, 0, time.UTC)
	from, err := AgreesFrom(loc, func(micros []int64) ([]string, error) {
		texts := make([]string, len(micros))
		for i, at := range micros {
			texts[i] = wallText(time.UnixMicro(at).In(loc))
			if at < wrongUntil.UnixMicro() {
				texts[i] = wallText(time.UnixMicro(at).UTC())
			}
		}
		return texts, nil
	})
	must(t, err)
	if from.Before(wrongUntil) || from.Sub(wrongUntil) > 11*24*time.Hour {
		t.Errorf("agrees from %s", from)
	}
	b, err := NewBuilder([]Column{{Name: "c", Type: typeOf(t, oidTimestamp, "America/New_York", ""), ExactFrom: from}})
	must(t, err)
	if b.AppendText(0, []byte("1951-05-01 00:00:00")) == nil || b.AppendText(0, []byte("1952-01-01 00:00:00")) != nil {
		t.Error("the limit is not kept")
	}
	if _, err := AgreesFrom(loc, func([]int64) ([]string, error) { return nil, context.Canceled }); err == nil {
		t.Error("a failed query was taken for agreement")
	}
}

// TestAppendToRefusesAnotherTable: bytes of one type must never be read as another.
func TestAppendToRefusesAnotherTable(t *testing.T) {
	ctx := testContext(t)
	ch := startClickHouse(ctx, t)
	b := builderOf(t, typeOf(t, oidInt8, "", ""))
	must(t, b.AppendText(0, []byte("1")))
	for name, ddl := range map[string]string{
		"type": "c0 UInt64", "nullable": "c0 Nullable(Int64)", "name": "c1 Int64", "missing": "",
	} {
		must(t, ch.Exec(ctx, "CREATE TABLE wrong_"+name+" (_i UInt64, "+ddl+") ENGINE = Memory"))
		batch, err := ch.PrepareBatch(ctx, "INSERT INTO wrong_"+name)
		must(t, err)
		if err := b.AppendTo(batch, 1); err == nil {
			t.Errorf("%s: taken", name)
		}
		must(t, batch.Close())
	}
	createTable(ctx, t, ch, "twice", b)
	batch, err := ch.PrepareBatch(ctx, "INSERT INTO twice")
	must(t, err)
	must(t, b.AppendTo(batch, 1))
	if err := b.AppendTo(batch, 1); err == nil {
		t.Error("a second append to the same columns was taken")
	}
	must(t, batch.Abort())
}

// TestLowCardinalityWidths crosses the sizes at which the entries get wider.
func TestLowCardinalityWidths(t *testing.T) {
	ctx := testContext(t)
	ch := startClickHouse(ctx, t)
	for _, override := range []string{"LowCardinality(String)", "LowCardinality(Nullable(String))"} {
		b := builderOf(t, typeOf(t, oidText, "", override))
		table := fmt.Sprintf("lc%d", len(override))
		createTable(ctx, t, ch, table, b)
		start := 0
		for _, n := range []int{1, 253, 254, 255, 256, 257, 65534, 65535, 65536, 65537} {
			b.Reset()
			for i := range n {
				must(t, b.AppendText(0, fmt.Appendf(nil, "v%d", start+i)))
			}
			b.AppendZero(0)
			send(ctx, t, ch, table, b, start)
			start += n + 1
		}
		var wrong, defaults uint64
		must(t, ch.QueryRow(ctx, "SELECT countIf(c0 != concat('v', toString(_i)) AND c0 != ''), countIf(ifNull(c0, '') = '') FROM "+table).Scan(&wrong, &defaults))
		if wrong != 0 || defaults != 10 {
			t.Errorf("%s: %d wrong, %d defaults", override, wrong, defaults)
		}
	}
}

// TestBatchIsReusableAfterFlush sends several blocks in one INSERT.
func TestBatchIsReusableAfterFlush(t *testing.T) {
	ctx := testContext(t)
	ch := startClickHouse(ctx, t)
	b := builderOf(t, benchmarkTypes(t)...)
	createTable(ctx, t, ch, "flushed", b)
	batch, err := ch.PrepareBatch(ctx, "INSERT INTO flushed")
	must(t, err)
	defer func() { _ = batch.Close() }()
	for block := range 3 {
		b.Reset()
		var ordinals []uint64
		for i := range 1000 + block {
			appendBenchmarkRow(t, b, i)
			ordinals = append(ordinals, uint64(i))
		}
		must(t, batch.Column(0).Append(ordinals))
		must(t, b.AppendTo(batch, 1))
		must(t, batch.Column(1+len(b.cols)).Append(make([]uint8, len(ordinals))))
		must(t, batch.Flush())
	}
	must(t, batch.Send())
	var rows, keys uint64
	must(t, ch.QueryRow(ctx, "SELECT count(), countIf(c0 = _i AND c9 = concat('note ', toString(_i))) FROM flushed").Scan(&rows, &keys))
	if rows != 3003 || keys != rows {
		t.Errorf("%d rows, %d right", rows, keys)
	}
}
