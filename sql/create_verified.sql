CREATE TABLE IF NOT EXISTS {{.Verified}}
(
    `table` String,
    `since` Int64,
    `until` Int64,
    `at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    `lsn` UInt64,
    `rows` UInt64,
    `differences` UInt64
)
ENGINE = ReplacingMergeTree(`at`)
ORDER BY (`table`, `since`)
SETTINGS {{volatile}}
COMMENT 'tidemark: when which range of dates (µs since the epoch) was last compared with PostgreSQL, and what was found'
