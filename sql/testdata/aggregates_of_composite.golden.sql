-- create_states
CREATE TABLE IF NOT EXISTS `shop_tidemark`.`by_minute_chunks`
(
    `minute` DateTime('UTC') CODEC(Delta, LZ4),
    `price` Decimal(12, 2),
    `p90` AggregateFunction(quantileExact(0.9), Decimal(12, 2)),
    `n\x60` UInt64,
    `_chunk` UInt64
)
ENGINE = MergeTree
PARTITION BY `_chunk`
ORDER BY (`minute`, `price`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', min_age_to_force_merge_seconds = 60, min_age_to_force_merge_on_partition_only = 1, allow_nullable_key = 1
COMMENT 'tidemark: aggregate by_minute of public.composite';

-- create_states
CREATE TABLE IF NOT EXISTS `shop_tidemark`.`by_minute_empty`
(
    `minute` DateTime('UTC') CODEC(Delta, LZ4),
    `price` Decimal(12, 2),
    `p90` AggregateFunction(quantileExact(0.9), Decimal(12, 2)),
    `n\x60` UInt64,
    `_chunk` UInt64
)
ENGINE = MergeTree
PARTITION BY `_chunk`
ORDER BY (`minute`, `price`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', min_age_to_force_merge_seconds = 60, min_age_to_force_merge_on_partition_only = 1, allow_nullable_key = 1
COMMENT 'tidemark: aggregate by_minute of public.composite';

-- create_region_view
CREATE VIEW IF NOT EXISTS `shop_tidemark`.`by_minute_rt`
SQL SECURITY INVOKER
AS
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT `minute`, `price`, `p90`, `n\x60`, `_chunk` FROM `shop_tidemark`.`by_minute_chunks`
WHERE `_chunk` IN arrayConcat((`_mark`.5)['composite'].rt, (`_mark`.5)['composite'].late)
COMMENT 'tidemark: aggregate by_minute of public.composite';

-- create_region_view
CREATE VIEW IF NOT EXISTS `shop_tidemark`.`by_minute_historic`
SQL SECURITY INVOKER
AS
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT `minute`, `price`, `p90`, `n\x60`, `_chunk` FROM `shop_tidemark`.`by_minute_chunks`
WHERE `_chunk` IN arrayConcat((`_mark`.6)['by_minute'].historic)
COMMENT 'tidemark: aggregate by_minute of public.composite';

-- create_aggregate_view
CREATE OR REPLACE VIEW `shop`.`by_minute`
(
    `minute` DateTime('UTC'),
    `price` Decimal(12, 2),
    `p90` Decimal(12, 2),
    `n\x60` UInt64
)
SQL SECURITY INVOKER
AS
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT defaultValueOfTypeName('DateTime(\'UTC\')') AS `minute`, defaultValueOfTypeName('Decimal(12, 2)') AS `price`, defaultValueOfTypeName('Decimal(12, 2)') AS `p90`, defaultValueOfTypeName('UInt64') AS `n\x60` FROM system.one
WHERE throwIf((`_mark`.6)['by_minute'].definition != '8cf5ee577d786cad', 'tidemark: aggregate by_minute is not computed yet; tidemark status shows its progress')
    OR throwIf(NOT getSetting('use_partition_pruning'), 'tidemark: set use_partition_pruning to 1, or the view cannot tell live chunks from dead ones')
UNION ALL
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT `_key_0` AS `minute`, `_key_1` AS `price`, quantileExactMerge(0.9)(`_state_0`) AS `p90`, sum(`_state_1`) AS `n\x60`
FROM
(
    SELECT `minute` AS `_key_0`, `price` AS `_key_1`, `p90` AS `_state_0`, `n\x60` AS `_state_1` FROM `shop_tidemark`.`by_minute_chunks`
    WHERE indexHint(`_chunk` IN arrayConcat((`_mark`.6)['by_minute'].historic, (`_mark`.5)['composite'].late, (`_mark`.5)['composite'].rt))
    UNION ALL
    SELECT toStartOfMinute(created_at) AS `_key_0`, price AS `_key_1`, quantileExactState(0.9)(price) AS `_state_0`, count() AS `_state_1` FROM `shop_tidemark`.`composite_chunks`
WHERE notEmpty((`_mark`.5)['composite'].dirty) AND indexHint(`_chunk` IN (`_mark`.5)['composite'].dirty)
        AND (`_chunk`, identity(`day`), `id`) NOT IN (SELECT `_of`, `day`, `id` FROM `shop_tidemark`.`composite_masks` WHERE `_chunk` IN (`_mark`.5)['composite'].masks
            AND 1 NOT IN (SELECT throwIf(count() != (`_mark`.7)['composite'], 'tidemark: this query outlived its data; run it again, or raise limits.max_query_age') FROM `shop_tidemark`.`composite_masks` WHERE `_chunk` IN (`_mark`.5)['composite'].masks))
        AND (price != 'x')
    GROUP BY `_key_0`, `_key_1`
)
GROUP BY `_key_0`, `_key_1`
HAVING 1 NOT IN
(
    SELECT throwIf(sum(n) != (`_mark`.6)['by_minute'].rows, 'tidemark: this query outlived its data; run it again, or raise limits.max_query_age')
    FROM
    (
        SELECT count() AS n FROM `shop_tidemark`.`by_minute_chunks` WHERE `_chunk` IN arrayConcat((`_mark`.6)['by_minute'].historic, (`_mark`.5)['composite'].late, (`_mark`.5)['composite'].rt)
        UNION ALL
        SELECT count() AS n FROM `shop_tidemark`.`composite_chunks` WHERE notEmpty((`_mark`.5)['composite'].dirty) AND `_chunk` IN (`_mark`.5)['composite'].dirty
    )
)
COMMENT 'tidemark: aggregate by_minute of public.composite';

-- insert_states
INSERT INTO `shop_tidemark`.`by_minute_chunks` (`minute`, `price`, `p90`, `n\x60`, `_chunk`)
SELECT toStartOfMinute(created_at) AS `_key_0`, price AS `_key_1`, quantileExactState(0.9)(price) AS `_state_0`, count() AS `_state_1`, {chunk:UInt64} FROM `shop_tidemark`.`composite_chunks`
WHERE indexHint(`_chunk` = {chunk:UInt64})
    AND (price != 'x')
GROUP BY `_key_0`, `_key_1`;

-- merge_states
INSERT INTO `shop_tidemark`.`by_minute_chunks` (`minute`, `price`, `p90`, `n\x60`, `_chunk`)
SELECT `_key_0`, `_key_1`, quantileExactMergeState(0.9)(`_state_0`), sum(`_state_1`), {to:UInt64}
FROM
(
    SELECT `minute` AS `_key_0`, `price` AS `_key_1`, `p90` AS `_state_0`, `n\x60` AS `_state_1` FROM `shop_tidemark`.`by_minute_chunks`
    WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
)
GROUP BY `_key_0`, `_key_1`
SETTINGS max_threads = 1;

-- estimate_merged
SELECT uniq(cityHash64(tuple(`minute`, `price`))) FROM `shop_tidemark`.`by_minute_chunks` WHERE indexHint(`_chunk` IN {from:Array(UInt64)});

-- clear_partitions
ALTER TABLE `shop_tidemark`.`by_minute_chunks` REPLACE PARTITION ID '1' FROM `shop_tidemark`.`by_minute_empty`;

-- drop_view
DROP VIEW IF EXISTS `shop`.`by_minute`;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`by_minute_chunks` SYNC;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`by_minute_empty` SYNC;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`by_minute_rt` SYNC;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`by_minute_historic` SYNC;

-- create_states
CREATE TABLE IF NOT EXISTS `shop_tidemark`.`in\x60all\x27_chunks`
(
    `n\x60` UInt64,
    `_chunk` UInt64
)
ENGINE = MergeTree
PARTITION BY `_chunk`
ORDER BY ()
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', min_age_to_force_merge_seconds = 60, min_age_to_force_merge_on_partition_only = 1, allow_nullable_key = 1
COMMENT 'tidemark: aggregate in`all\' of public.composite';

-- create_states
CREATE TABLE IF NOT EXISTS `shop_tidemark`.`in\x60all\x27_empty`
(
    `n\x60` UInt64,
    `_chunk` UInt64
)
ENGINE = MergeTree
PARTITION BY `_chunk`
ORDER BY ()
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', min_age_to_force_merge_seconds = 60, min_age_to_force_merge_on_partition_only = 1, allow_nullable_key = 1
COMMENT 'tidemark: aggregate in`all\' of public.composite';

-- create_region_view
CREATE VIEW IF NOT EXISTS `shop_tidemark`.`in\x60all\x27_rt`
SQL SECURITY INVOKER
AS
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT `n\x60`, `_chunk` FROM `shop_tidemark`.`in\x60all\x27_chunks`
WHERE `_chunk` IN arrayConcat((`_mark`.5)['composite'].rt, (`_mark`.5)['composite'].late)
COMMENT 'tidemark: aggregate in`all\' of public.composite';

-- create_region_view
CREATE VIEW IF NOT EXISTS `shop_tidemark`.`in\x60all\x27_historic`
SQL SECURITY INVOKER
AS
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT `n\x60`, `_chunk` FROM `shop_tidemark`.`in\x60all\x27_chunks`
WHERE `_chunk` IN arrayConcat((`_mark`.6)['in`all\''].historic)
COMMENT 'tidemark: aggregate in`all\' of public.composite';

-- create_aggregate_view
CREATE OR REPLACE VIEW `shop`.`in\x60all\x27`
(
    `n\x60` UInt64
)
SQL SECURITY INVOKER
AS
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT defaultValueOfTypeName('UInt64') AS `n\x60` FROM system.one
WHERE throwIf((`_mark`.6)['in`all\''].definition != '46940456f43b9c8b', 'tidemark: aggregate in`all\' is not computed yet; tidemark status shows its progress')
    OR throwIf(NOT getSetting('use_partition_pruning'), 'tidemark: set use_partition_pruning to 1, or the view cannot tell live chunks from dead ones')
UNION ALL
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT sum(`_state_0`) AS `n\x60`
FROM
(
    SELECT `n\x60` AS `_state_0` FROM `shop_tidemark`.`in\x60all\x27_chunks`
    WHERE indexHint(`_chunk` IN arrayConcat((`_mark`.6)['in`all\''].historic, (`_mark`.5)['composite'].late, (`_mark`.5)['composite'].rt))
    UNION ALL
    SELECT count() AS `_state_0` FROM `shop_tidemark`.`composite_chunks`
WHERE notEmpty((`_mark`.5)['composite'].dirty) AND indexHint(`_chunk` IN (`_mark`.5)['composite'].dirty)
        AND (`_chunk`, identity(`day`), `id`) NOT IN (SELECT `_of`, `day`, `id` FROM `shop_tidemark`.`composite_masks` WHERE `_chunk` IN (`_mark`.5)['composite'].masks
            AND 1 NOT IN (SELECT throwIf(count() != (`_mark`.7)['composite'], 'tidemark: this query outlived its data; run it again, or raise limits.max_query_age') FROM `shop_tidemark`.`composite_masks` WHERE `_chunk` IN (`_mark`.5)['composite'].masks))
)
HAVING 1 NOT IN
(
    SELECT throwIf(sum(n) != (`_mark`.6)['in`all\''].rows, 'tidemark: this query outlived its data; run it again, or raise limits.max_query_age')
    FROM
    (
        SELECT count() AS n FROM `shop_tidemark`.`in\x60all\x27_chunks` WHERE `_chunk` IN arrayConcat((`_mark`.6)['in`all\''].historic, (`_mark`.5)['composite'].late, (`_mark`.5)['composite'].rt)
        UNION ALL
        SELECT count() AS n FROM `shop_tidemark`.`composite_chunks` WHERE notEmpty((`_mark`.5)['composite'].dirty) AND `_chunk` IN (`_mark`.5)['composite'].dirty
    )
)
COMMENT 'tidemark: aggregate in`all\' of public.composite';

-- insert_states
INSERT INTO `shop_tidemark`.`in\x60all\x27_chunks` (`n\x60`, `_chunk`)
SELECT count() AS `_state_0`, {chunk:UInt64} FROM `shop_tidemark`.`composite_chunks`
WHERE indexHint(`_chunk` = {chunk:UInt64});

-- merge_states
INSERT INTO `shop_tidemark`.`in\x60all\x27_chunks` (`n\x60`, `_chunk`)
SELECT sum(`_state_0`), {to:UInt64}
FROM
(
    SELECT `n\x60` AS `_state_0` FROM `shop_tidemark`.`in\x60all\x27_chunks`
    WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
)
SETTINGS max_threads = 1;

-- estimate_merged
SELECT uniq(cityHash64(0)) FROM `shop_tidemark`.`in\x60all\x27_chunks` WHERE indexHint(`_chunk` IN {from:Array(UInt64)});

-- clear_partitions
ALTER TABLE `shop_tidemark`.`in\x60all\x27_chunks` REPLACE PARTITION ID '1' FROM `shop_tidemark`.`in\x60all\x27_empty`;

-- drop_view
DROP VIEW IF EXISTS `shop`.`in\x60all\x27`;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`in\x60all\x27_chunks` SYNC;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`in\x60all\x27_empty` SYNC;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`in\x60all\x27_rt` SYNC;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`in\x60all\x27_historic` SYNC;

-- count_states
SELECT 'by_minute' AS `aggregate`, `_chunk`, count() FROM `shop_tidemark`.`by_minute_chunks` WHERE `_chunk` IN {chunks:Array(UInt64)} GROUP BY `_chunk`
UNION ALL
SELECT 'in`all\'' AS `aggregate`, `_chunk`, count() FROM `shop_tidemark`.`in\x60all\x27_chunks` WHERE `_chunk` IN {chunks:Array(UInt64)} GROUP BY `_chunk`;

-- describe_expression
DESCRIBE TABLE
(
    SELECT toDate(created_at) AS `_key_0`
    FROM
    (
        SELECT `_row`.1 AS `id`, `_row`.2 AS `day`, `_row`.3 AS `price`
        FROM (SELECT arrayJoin(CAST([], 'Array(Tuple(Int64, Date32, Decimal(12, 2)))')) AS `_row`)
    )
    GROUP BY `_key_0`
);

-- describe_expression
DESCRIBE TABLE
(
    SELECT quantileExact(0.9)(price) AS `_result_0`, quantileExactState(0.9)(price) AS `_state_0`
    FROM
    (
        SELECT `_row`.1 AS `id`, `_row`.2 AS `day`, `_row`.3 AS `price`
        FROM (SELECT arrayJoin(CAST([], 'Array(Tuple(Int64, Date32, Decimal(12, 2)))')) AS `_row`)
    )
);

-- describe_expression
DESCRIBE TABLE
(
    SELECT 1
    FROM
    (
        SELECT `_row`.1 AS `id`, `_row`.2 AS `day`, `_row`.3 AS `price`
        FROM (SELECT arrayJoin(CAST([], 'Array(Tuple(Int64, Date32, Decimal(12, 2)))')) AS `_row`)
    )
    WHERE (price > 0)
);

-- list_aggregates
SELECT `database`, `name` FROM system.tables
WHERE `database` IN ({views:String}, {internals:String}) AND startsWith(`comment`, {prefix:String})
ORDER BY `database`, `name`;

-- list_changing_functions
SELECT DISTINCT lower(`name`) AS `function` FROM system.functions WHERE lower(`name`) IN {names:Array(String)} AND NOT `deterministic`;

-- drop_view
DROP VIEW IF EXISTS `shop`.`v`;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`v_rt` SYNC;

