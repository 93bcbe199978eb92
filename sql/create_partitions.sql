CREATE TABLE IF NOT EXISTS {{.Partitions}}
(
    `table` String,
    `leaves` String,
    `at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(`at`)
ORDER BY `table`
SETTINGS {{durable}}
COMMENT 'tidemark: the partitions in PostgreSQL whose rows the view of a partitioned table shows'
