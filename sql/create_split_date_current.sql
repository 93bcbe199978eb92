CREATE OR REPLACE VIEW {{.SplitDateCurrent}}
(
    `table` String,
    `split_date` Nullable(DateTime64(6, 'UTC')),
    `lsn` String,
    `commit_time` DateTime64(6, 'UTC'),
    `age` Float64,
    `epoch` UInt64,
    `term` UInt64
)
SQL SECURITY INVOKER
AS SELECT
    t.1 AS `table`,
    t.2.split AS `split_date`,
    {{lsnText "m.3"}} AS `lsn`,
    m.4 AS `commit_time`,
    dateDiff('microsecond', m.4, now64(6, 'UTC')) / 1000000 AS `age`,
    m.2 AS `epoch`,
    m.1 AS `term`
FROM
(
    SELECT {{readMark}} AS m
)
ARRAY JOIN CAST(m.5, {{literal (print "Array(Tuple(String, " tableType "))")}}) AS t
COMMENT 'tidemark: as of which commit, and with which split date, a query sees each table'
