CREATE TABLE IF NOT EXISTS {{.Writers}}
(
    `term` UInt64,
    `writer` UInt64,
    `at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY `term`
SETTINGS {{durable}}
COMMENT 'tidemark: who began which term; a mark of an older term is not written any more'
