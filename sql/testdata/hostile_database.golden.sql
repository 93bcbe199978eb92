-- create_database
CREATE DATABASE IF NOT EXISTS `sh\x60op\x27\x5c` ENGINE = Atomic;

-- create_database
CREATE DATABASE IF NOT EXISTS `sh\x60op\x27\x5c_tidemark` ENGINE = Atomic;

-- create_split_date
CREATE TABLE IF NOT EXISTS `sh\x60op\x27\x5c`.`split_date`
(
    `format` UInt16,
    `term` UInt64,
    `epoch` UInt64,
    `lsn` UInt64,
    `commit_time` DateTime64(6, 'UTC'),
    `written_at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    `source` Tuple(system_id String, timeline Int32, database String, slot String),
    `tables` Map(String, Tuple(split Nullable(DateTime64(6, 'UTC')), clean Array(UInt64), dirty Array(UInt64), masks Array(UInt64), late Array(UInt64), rt Array(UInt64), rows UInt64, shape UInt64, narrowed UInt64)),
    `chunks` Map(String, Map(UInt64, Tuple(rows UInt64, from Int64, to Int64))),
    `aggregates` Map(String, Tuple(table String, definition String, historic Array(UInt64), rows UInt64)),
    `states` Map(String, Map(UInt64, Tuple(rows UInt64, of Array(UInt64)))),
    `loads` String DEFAULT '{}',
    `masked` Map(String, UInt64)
)
ENGINE = MergeTree
PARTITION BY intDiv(`epoch`, 64)
ORDER BY (`term`, `epoch`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', index_granularity = 1
COMMENT 'tidemark: the marks; the newest (term, epoch) is the state that every query sees';

-- create_split_date_log
CREATE TABLE IF NOT EXISTS `sh\x60op\x27\x5c_tidemark`.`split_date_log`
(
    `format` UInt16,
    `term` UInt64,
    `epoch` UInt64,
    `lsn` UInt64,
    `commit_time` DateTime64(6, 'UTC'),
    `written_at` DateTime64(6, 'UTC'),
    `source` Tuple(system_id String, timeline Int32, database String, slot String),
    `tables` Map(String, Tuple(split Nullable(DateTime64(6, 'UTC')), clean Array(UInt64), dirty Array(UInt64), masks Array(UInt64), late Array(UInt64), rt Array(UInt64), rows UInt64, shape UInt64, narrowed UInt64)),
    `chunks` Map(String, Map(UInt64, Tuple(rows UInt64, from Int64, to Int64))),
    `aggregates` Map(String, Tuple(table String, definition String, historic Array(UInt64), rows UInt64)),
    `states` Map(String, Map(UInt64, Tuple(rows UInt64, of Array(UInt64)))),
    `loads` String DEFAULT '{}',
    `masked` Map(String, UInt64)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(`written_at`)
ORDER BY (`term`, `epoch`)
TTL toDateTime(`written_at`) + INTERVAL 7 DAY
SETTINGS old_parts_lifetime = 5, auto_statistics_types = ''
COMMENT 'tidemark: marks that no running query needs any more';

-- create_writers
CREATE TABLE IF NOT EXISTS `sh\x60op\x27\x5c_tidemark`.`writers`
(
    `term` UInt64,
    `writer` UInt64,
    `at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY `term`
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = ''
COMMENT 'tidemark: who began which term; a mark of an older term is not written any more';

-- create_shapes
CREATE TABLE IF NOT EXISTS `sh\x60op\x27\x5c_tidemark`.`shapes`
(
    `shape` UInt64,
    `table` String,
    `columns` String,
    `at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY `shape`
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = ''
COMMENT 'tidemark: the columns of each table as PostgreSQL described them, by the number that the marks name';

-- create_verified
CREATE TABLE IF NOT EXISTS `sh\x60op\x27\x5c_tidemark`.`verified`
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
SETTINGS old_parts_lifetime = 5, auto_statistics_types = ''
COMMENT 'tidemark: when which range of dates (µs since the epoch) was last compared with PostgreSQL, and what was found';

-- create_partitions
CREATE TABLE IF NOT EXISTS `sh\x60op\x27\x5c_tidemark`.`partitions`
(
    `table` String,
    `leaves` String,
    `at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(`at`)
ORDER BY `table`
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = ''
COMMENT 'tidemark: the partitions in PostgreSQL whose rows the view of a partitioned table shows';

-- create_split_date_current
CREATE OR REPLACE VIEW `sh\x60op\x27\x5c`.`split_date_current`
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
    concat(if(bitShiftRight(m.3, 32) = 0, '0', trimLeft(hex(toUInt32(bitShiftRight(m.3, 32))), '0')), '/', if(bitAnd(m.3, 4294967295) = 0, '0', trimLeft(hex(toUInt32(bitAnd(m.3, 4294967295))), '0'))) AS `lsn`,
    m.4 AS `commit_time`,
    dateDiff('microsecond', m.4, now64(6, 'UTC')) / 1000000 AS `age`,
    m.2 AS `epoch`,
    m.1 AS `term`
FROM
(
    SELECT (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `sh\x60op\x27\x5c`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS m
)
ARRAY JOIN CAST(m.5, 'Array(Tuple(String, Tuple(split Nullable(DateTime64(6, \'UTC\')), clean Array(UInt64), dirty Array(UInt64), masks Array(UInt64), late Array(UInt64), rt Array(UInt64), rows UInt64, shape UInt64, narrowed UInt64)))') AS t
COMMENT 'tidemark: as of which commit, and with which split date, a query sees each table';

-- read_mark
SELECT `format`, `term`, `epoch`, `lsn`, toUnixTimestamp64Micro(`commit_time`), toUnixTimestamp64Micro(`written_at`),
    `source`.1, `source`.2, `source`.3, `source`.4,
    toJSONString(`tables`), toJSONString(`chunks`), toJSONString(`aggregates`), toJSONString(`states`), `loads`
FROM `sh\x60op\x27\x5c`.`split_date`
ORDER BY `term` DESC, `epoch` DESC
LIMIT 1;

-- read_mark_format
SELECT `format` FROM `sh\x60op\x27\x5c`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1;

-- newest_mark
SELECT `term`, `epoch`, toUnixTimestamp64Micro(now64(6)) FROM `sh\x60op\x27\x5c`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1;

-- list_marks
SELECT `epoch`, toUnixTimestamp64Micro(now64(6)), toJSONString(`chunks`), toJSONString(`states`)
FROM `sh\x60op\x27\x5c`.`split_date`
ORDER BY `epoch`;

-- insert_mark
INSERT INTO `sh\x60op\x27\x5c`.`split_date` (`format`, `term`, `epoch`, `lsn`, `commit_time`, `source`, `tables`, `chunks`, `aggregates`, `states`, `loads`, `masked`)
SELECT
    {format:UInt16}, {term:UInt64}, {epoch:UInt64}, {lsn:UInt64},
    fromUnixTimestamp64Micro({commit_time:Int64}, 'UTC'),
    {source:Tuple(String, Int32, String, String)},
    {tables:Map(String, Tuple(split Nullable(DateTime64(6, 'UTC')), clean Array(UInt64), dirty Array(UInt64), masks Array(UInt64), late Array(UInt64), rt Array(UInt64), rows UInt64, shape UInt64, narrowed UInt64))},
    {chunks:Map(String, Map(UInt64, Tuple(rows UInt64, from Int64, to Int64)))},
    {aggregates:Map(String, Tuple(table String, definition String, historic Array(UInt64), rows UInt64))},
    {states:Map(String, Map(UInt64, Tuple(rows UInt64, of Array(UInt64))))},
    {loads:String},
    {masked:Map(String, UInt64)}
WHERE (SELECT max((`term`, `epoch`)) FROM `sh\x60op\x27\x5c`.`split_date`) = ({previous_term:UInt64}, {previous_epoch:UInt64})
    AND (SELECT max(`term`) FROM `sh\x60op\x27\x5c_tidemark`.`writers`) = {term:UInt64};

-- insert_writer
INSERT INTO `sh\x60op\x27\x5c_tidemark`.`writers` (`term`, `writer`) VALUES ({term:UInt64}, {writer:UInt64});

-- newest_writers
SELECT `term`, groupArray(`writer`) FROM `sh\x60op\x27\x5c_tidemark`.`writers` GROUP BY `term` ORDER BY `term` DESC LIMIT 1;

-- archive_marks
INSERT INTO `sh\x60op\x27\x5c_tidemark`.`split_date_log` SELECT * FROM `sh\x60op\x27\x5c`.`split_date` WHERE intDiv(`epoch`, 64) = {partition:UInt64};

-- list_chunks
SELECT `table`, `partition_id`, sum(`bytes_on_disk`)
FROM system.parts
WHERE `database` = {database:String} AND `active`
GROUP BY `table`, `partition_id`
ORDER BY `table`, `partition_id`;

-- oldest_query
SELECT toUnixTimestamp64Micro(now64(6)), toUnixTimestamp64Micro(now64(6)) - toInt64(ifNull(max(`elapsed`), 0) * 1000000)
FROM system.processes
WHERE NOT startsWith(`query_id`, {prefix:String});

-- kill_older_terms
KILL QUERY WHERE startsWith(`query_id`, {prefix:String}) AND NOT startsWith(`query_id`, {current:String}) AND NOT endsWith(`query`, 'FORMAT Native') SYNC;

-- drop_partitions
ALTER TABLE `sh\x60op\x27\x5c`.`split_date` DROP PARTITION ID '0';

-- find_table
SELECT count() FROM system.tables WHERE `database` = {database:String} AND `name` = {name:String};

-- list_foreign
SELECT `name`, `engine` FROM system.tables
WHERE `database` = {database:String} AND has({names:Array(String)}, `name`) AND NOT startsWith(`comment`, 'tidemark: ')
ORDER BY `name`;

-- find_database
SELECT `engine` FROM system.databases WHERE `name` = {name:String};

-- list_columns
SELECT `name`, `type` FROM system.columns WHERE `database` = {database:String} AND `table` = {table:String} ORDER BY `position`;

-- check_grant
CHECK GRANT SELECT ON `sh\x60op\x27\x5c`.*;

-- check_grant
CHECK GRANT DROP TABLE ON `sh\x60op\x27\x5c`.`_tmp_replace_`;

-- server_clock
SELECT toUnixTimestamp64Micro(now64(6));

-- show_instants
SELECT arrayMap(x -> toString(fromUnixTimestamp64Micro(x, 'America/New_York')), {micros:Array(Int64)});

-- self_check
SELECT count()
FROM
(
    SELECT `epoch` AS n FROM `sh\x60op\x27\x5c`.`split_date_current`
    UNION ALL
    SELECT count() AS n FROM `shop`.`sales`
)
WHERE n < 0;

-- list_definers
SELECT `database`, `name`
FROM system.tables
WHERE `engine` = 'View'
    AND position(`create_table_query`, 'SQL SECURITY DEFINER') > 0
    AND position(`as_select`, {database:String}) > 0
ORDER BY `database`, `name`;

-- insert_verified
INSERT INTO `sh\x60op\x27\x5c_tidemark`.`verified` (`table`, `since`, `until`, `lsn`, `rows`, `differences`)
SELECT {table:String}, {since:Int64}, {until:Int64}, {lsn:UInt64}, {rows:UInt64}, {differences:UInt64};

-- list_verified
SELECT `table`, `since`, `until`, toUnixTimestamp64Micro(`at`), `differences`
FROM `sh\x60op\x27\x5c_tidemark`.`verified` FINAL
ORDER BY `table`, `since`;

-- insert_partitions
INSERT INTO `sh\x60op\x27\x5c_tidemark`.`partitions` (`table`, `leaves`) SELECT {table:String}, {leaves:String};

-- list_partitions
SELECT `table`, `leaves` FROM `sh\x60op\x27\x5c_tidemark`.`partitions` FINAL ORDER BY `table`;

-- insert_shape
INSERT INTO `sh\x60op\x27\x5c_tidemark`.`shapes` (`shape`, `table`, `columns`)
SELECT {shape:UInt64}, {table:String}, unhex({columns:String});

-- list_shapes
SELECT `shape`, `columns` FROM `sh\x60op\x27\x5c_tidemark`.`shapes` WHERE `shape` IN {shapes:Array(UInt64)};

-- list_apart
SELECT `name` FROM system.tables WHERE `database` = {database:String} AND has({names:Array(String)}, `name`) AND `engine` = 'MergeTree' ORDER BY `name`;

-- drop_table
DROP TABLE IF EXISTS `sh\x60op\x27\x5c_tidemark`.`sales_rt` SYNC;

-- add_masked
ALTER TABLE `sh\x60op\x27\x5c`.`split_date` ADD COLUMN IF NOT EXISTS `masked` Map(String, UInt64);

-- add_masked
ALTER TABLE `sh\x60op\x27\x5c_tidemark`.`split_date_log` ADD COLUMN IF NOT EXISTS `masked` Map(String, UInt64);

-- drop_view
DROP VIEW IF EXISTS `sh\x60op\x27\x5c`.`sales`;

-- drop_view
DROP VIEW IF EXISTS `sh\x60op\x27\x5c`.`split_date_current`;

-- drop_table
DROP TABLE IF EXISTS `sh\x60op\x27\x5c`.`split_date` SYNC;

-- drop_internals
DROP DATABASE IF EXISTS `sh\x60op\x27\x5c_tidemark` SYNC;

