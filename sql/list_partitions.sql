SELECT `table`, `leaves` FROM {{.Partitions}} FINAL ORDER BY `table`
