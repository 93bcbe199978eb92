CREATE TABLE IF NOT EXISTS {{.Shapes}}
(
    `shape` UInt64,
    `table` String,
    `columns` String,
    `at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY `shape`
SETTINGS {{durable}}
COMMENT 'tidemark: the columns of each table as PostgreSQL described them, by the number that the marks name'
