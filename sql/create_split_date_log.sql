CREATE TABLE IF NOT EXISTS {{.SplitDateLog}}
(
    `format` UInt16,
    `term` UInt64,
    `epoch` UInt64,
    `lsn` UInt64,
    `commit_time` DateTime64(6, 'UTC'),
    `written_at` DateTime64(6, 'UTC'),
    `source` Tuple(system_id String, timeline Int32, database String, slot String),
    `tables` Map(String, {{tableType}}),
    `chunks` Map(String, {{chunksType}}),
    `aggregates` Map(String, {{aggregateType}}),
    `states` Map(String, {{statesType}}),
    `loads` String DEFAULT '{}',
    `masked` Map(String, UInt64)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(`written_at`)
ORDER BY (`term`, `epoch`)
TTL toDateTime(`written_at`) + INTERVAL 7 DAY
SETTINGS {{volatile}}
COMMENT 'tidemark: marks that no running query needs any more'
