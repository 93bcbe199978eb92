package warehouse_test

import (
	"fmt"
	"testing"

	"github.com/tidemark-db/tidemark/internal/warehouse/warehousetest"
	"github.com/tidemark-db/tidemark/sql"
)

// BenchmarkDurability measures what it costs that an acknowledged insert is on disk: small inserts, as of a tick, and large
// ones, as of a load.
func BenchmarkDurability(b *testing.B) {
	db := warehousetest.Open(b, "default")
	exec := func(text string) {
		if err := db.Exec(b.Context(), sql.Statement{Name: "bench", Text: text}, nil); err != nil {
			b.Fatal(err)
		}
	}
	const durable = "fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1"
	for _, rows := range []int{100, 1_000_000} {
		for name, settings := range map[string]string{"fsync": durable, "page cache": "fsync_after_insert = 0"} {
			b.Run(fmt.Sprintf("%d rows, %s", rows, name), func(b *testing.B) {
				exec("CREATE OR REPLACE TABLE t (id UInt64, v String) ENGINE = MergeTree ORDER BY id SETTINGS old_parts_lifetime = 5, " + settings)
				for b.Loop() {
					exec(fmt.Sprintf("INSERT INTO t SELECT number, toString(cityHash64(number)) FROM numbers(%d)", rows))
				}
			})
		}
	}
}
