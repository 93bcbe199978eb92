CREATE TABLE IF NOT EXISTS {{.SplitDate}}
(
    `format` UInt16,
    `term` UInt64,
    `epoch` UInt64,
    `lsn` UInt64,
    `commit_time` DateTime64(6, 'UTC'),
    `written_at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    `source` Tuple(system_id String, timeline Int32, database String, slot String),
    `tables` Map(String, {{tableType}}),
    `chunks` Map(String, {{chunksType}}),
    `aggregates` Map(String, {{aggregateType}}),
    `states` Map(String, {{statesType}}),
    `loads` String DEFAULT '{}',
    `masked` Map(String, UInt64)
)
ENGINE = MergeTree
PARTITION BY intDiv(`epoch`, 64)
ORDER BY (`term`, `epoch`)
SETTINGS {{durable}}, index_granularity = 1
COMMENT 'tidemark: the marks; the newest (term, epoch) is the state that every query sees'
