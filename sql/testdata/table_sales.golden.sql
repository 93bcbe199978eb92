-- create_chunks
CREATE TABLE IF NOT EXISTS `shop_tidemark`.`sales_chunks`
(
    `id` Int64 CODEC(Delta, ZSTD(1)),
    `created_at` DateTime64(6, 'UTC'),
    `price` Decimal(12, 2),
    `no\x60te\x27\x5c` Nullable(String),
    `_chunk` UInt64,
    INDEX `_range` `id` TYPE minmax GRANULARITY 64,
    INDEX `_key` `id` TYPE bloom_filter GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY (if(bitTest(`_chunk`, 39), toYYYYMMDD(`created_at`), 0), `_chunk`)
ORDER BY (`price`, `created_at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', min_age_to_force_merge_seconds = 60, min_age_to_force_merge_on_partition_only = 1, allow_nullable_key = 1
COMMENT 'tidemark: chunks of public.sales; query the view instead';

-- create_chunks
CREATE TABLE IF NOT EXISTS `shop_tidemark`.`sales_empty`
(
    `id` Int64 CODEC(Delta, ZSTD(1)),
    `created_at` DateTime64(6, 'UTC'),
    `price` Decimal(12, 2),
    `no\x60te\x27\x5c` Nullable(String),
    `_chunk` UInt64,
    INDEX `_range` `id` TYPE minmax GRANULARITY 64,
    INDEX `_key` `id` TYPE bloom_filter GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY (if(bitTest(`_chunk`, 39), toYYYYMMDD(`created_at`), 0), `_chunk`)
ORDER BY (`price`, `created_at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', min_age_to_force_merge_seconds = 60, min_age_to_force_merge_on_partition_only = 1, allow_nullable_key = 1
COMMENT 'tidemark: no row ever; what takes the place of partitions of public.sales that go';

-- create_masks
CREATE TABLE IF NOT EXISTS `shop_tidemark`.`sales_masks`
(
    `_chunk` UInt64,
    `_of` UInt64,
    `id` Int64
)
ENGINE = MergeTree
PARTITION BY `_chunk`
ORDER BY (`_of`, `id`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = ''
COMMENT 'tidemark: the dead rows (_of, key) of HISTORIC chunks of public.sales';

-- create_changes
CREATE TABLE IF NOT EXISTS `shop_tidemark`.`sales_changes`
(
    `id` Int64,
    `created_at` DateTime64(6, 'UTC'),
    `price` Decimal(12, 2),
    `no\x60te\x27\x5c` Nullable(String),
    `_chunk` UInt64,
    `_lsn` UInt64,
    `_ordinal` UInt64,
    `_insert` UInt8,
    `_live` UInt8,
    `_op` UInt8,
    `_time` DateTime64(6, 'UTC'),
    `_unchanged` Array(UInt16),
    `_source_0` Int64
)
ENGINE = MergeTree
PARTITION BY `_chunk`
ORDER BY cityHash64(`id`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', min_bytes_for_wide_part = 1000000000
COMMENT 'tidemark: the changes of the tick under way to public.sales';

-- create_region_view
CREATE VIEW IF NOT EXISTS `shop_tidemark`.`sales_rt`
SQL SECURITY INVOKER
AS
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk` FROM `shop_tidemark`.`sales_chunks`
WHERE `_chunk` IN arrayConcat((`_mark`.5)['sales'].rt)
COMMENT 'tidemark: what the newest mark lists of RT of public.sales; query the view instead';

-- create_region_view
CREATE VIEW IF NOT EXISTS `shop_tidemark`.`sales_late`
SQL SECURITY INVOKER
AS
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk` FROM `shop_tidemark`.`sales_chunks`
WHERE `_chunk` IN arrayConcat((`_mark`.5)['sales'].late)
COMMENT 'tidemark: what the newest mark lists of LATE of public.sales; query the view instead';

-- create_region_view
CREATE VIEW IF NOT EXISTS `shop_tidemark`.`sales_historic`
SQL SECURITY INVOKER
AS
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk` FROM `shop_tidemark`.`sales_chunks`
WHERE `_chunk` IN arrayConcat((`_mark`.5)['sales'].clean, (`_mark`.5)['sales'].dirty)
COMMENT 'tidemark: what the newest mark lists of HISTORIC of public.sales; query the view instead';

-- create_view
CREATE OR REPLACE VIEW `shop`.`sales`
(
    `id` Int64,
    `created_at` DateTime64(6, 'UTC'),
    `price` Decimal(12, 2),
    `no\x60te\x27\x5c` Nullable(String)
)
SQL SECURITY INVOKER
AS
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT defaultValueOfTypeName('Int64') AS `id`, defaultValueOfTypeName('DateTime64(6, \'UTC\')') AS `created_at`, defaultValueOfTypeName('Decimal(12, 2)') AS `price`, defaultValueOfTypeName('Nullable(String)') AS `no\x60te\x27\x5c` FROM system.one
WHERE throwIf(NOT mapContains(`_mark`.5, 'sales'), 'tidemark: public.sales is not loaded yet, or held until it can be loaded again; tidemark status shows its progress')
    OR throwIf(`_mark`.3 <= 0 OR (`_mark`.5)['sales'].narrowed > 0 AND `_mark`.3 > (`_mark`.5)['sales'].narrowed, 'tidemark: the columns of public.sales changed while this query was planned; run it again')
    OR throwIf(NOT getSetting('use_partition_pruning'), 'tidemark: set use_partition_pruning to 1, or the view cannot tell live chunks from dead ones')
UNION ALL
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c` FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN arrayConcat((`_mark`.5)['sales'].clean, (`_mark`.5)['sales'].late, (`_mark`.5)['sales'].rt))
UNION ALL
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c` FROM `shop_tidemark`.`sales_chunks`
WHERE notEmpty((`_mark`.5)['sales'].dirty) AND indexHint(`_chunk` IN (`_mark`.5)['sales'].dirty)
    AND (`_chunk`, identity(`id`)) NOT IN
    (
        SELECT `_of`, `id` FROM `shop_tidemark`.`sales_masks`
        WHERE `_chunk` IN (`_mark`.5)['sales'].masks
            AND 1 NOT IN (SELECT throwIf(count() != (`_mark`.7)['sales'], 'tidemark: this query outlived its data; run it again, or raise limits.max_query_age') FROM `shop_tidemark`.`sales_masks` WHERE `_chunk` IN (`_mark`.5)['sales'].masks)
    )
UNION ALL
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT [defaultValueOfTypeName('Int64')][1 + `_outlived`] AS `id`, [defaultValueOfTypeName('DateTime64(6, \'UTC\')')][1 + `_outlived`] AS `created_at`, [defaultValueOfTypeName('Decimal(12, 2)')][1 + `_outlived`] AS `price`, [defaultValueOfTypeName('Nullable(String)')][1 + `_outlived`] AS `no\x60te\x27\x5c`
FROM
(
    SELECT throwIf(count() != (`_mark`.5)['sales'].rows, 'tidemark: this query outlived its data; run it again, or raise limits.max_query_age') AS `_outlived`
    FROM `shop_tidemark`.`sales_chunks` WHERE `_chunk` IN arrayConcat((`_mark`.5)['sales'].clean, (`_mark`.5)['sales'].dirty, (`_mark`.5)['sales'].late, (`_mark`.5)['sales'].rt)
)
WHERE `_outlived` = 1
COMMENT 'tidemark: view of public.sales';

-- hold_view
CREATE OR REPLACE VIEW `shop`.`sales`
(
    `id` Int64,
    `created_at` DateTime64(6, 'UTC'),
    `price` Decimal(12, 2),
    `no\x60te\x27\x5c` Nullable(String)
)
SQL SECURITY INVOKER
AS
SELECT defaultValueOfTypeName('Int64') AS `id`, defaultValueOfTypeName('DateTime64(6, \'UTC\')') AS `created_at`, defaultValueOfTypeName('Decimal(12, 2)') AS `price`, defaultValueOfTypeName('Nullable(String)') AS `no\x60te\x27\x5c` FROM system.one
WHERE throwIf(dummy = 0, 'tidemark: public.sales is not loaded yet, or held until it can be loaded again; tidemark status shows its progress')
COMMENT 'tidemark: view of public.sales';

-- insert_changes
INSERT INTO `shop_tidemark`.`sales_changes`(`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`, `_lsn`, `_ordinal`, `_insert`, `_live`, `_op`, `_time`);

-- insert_unresolved
INSERT INTO `shop_tidemark`.`sales_changes`(`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`, `_lsn`, `_ordinal`, `_insert`, `_live`, `_op`, `_time`, `_unchanged`, `_source_0`);

-- insert_chunk
INSERT INTO `shop_tidemark`.`sales_chunks`(`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`);

-- upgrade_chunks
INSERT INTO `shop_tidemark`.`sales_chunks` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`)
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk` FROM `shop_tidemark`.`sales_rt` WHERE indexHint(`_chunk` IN {chunks:Array(UInt64)});

-- upgrade_chunks
INSERT INTO `shop_tidemark`.`sales_chunks` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`)
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, bitOr(`_chunk`, 549755813888) FROM `shop_tidemark`.`sales_historic` WHERE indexHint(`_chunk` IN {chunks:Array(UInt64)});

-- upgrade_masks
INSERT INTO `shop_tidemark`.`sales_masks` (`_chunk`, `_of`, `id`)
SELECT {to:UInt64}, bitOr(`_of`, 549755813888), `id` FROM `shop_tidemark`.`sales_masks` WHERE `_chunk` IN {masks:Array(UInt64)};

-- resolve_unchanged
INSERT INTO `shop_tidemark`.`sales_changes` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`, `_lsn`, `_ordinal`, `_insert`, `_live`, `_op`, `_time`)
SELECT
    if(has(`_changes`.`_unchanged`, 0), `_older`.`id`, `_changes`.`id`),
    if(has(`_changes`.`_unchanged`, 1), `_older`.`created_at`, `_changes`.`created_at`),
    if(has(`_changes`.`_unchanged`, 2), `_older`.`price`, `_changes`.`price`),
    if(has(`_changes`.`_unchanged`, 3), `_older`.`no\x60te\x27\x5c`, `_changes`.`no\x60te\x27\x5c`),
    {to:UInt64}, `_changes`.`_lsn`, `_changes`.`_ordinal`, `_changes`.`_insert`, `_changes`.`_live`, `_changes`.`_op`, `_changes`.`_time`
FROM `shop_tidemark`.`sales_changes` AS `_changes`
INNER JOIN
(
    SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`
    FROM
    (
        SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_lsn`, `_ordinal` FROM `shop_tidemark`.`sales_changes`
        WHERE `_chunk` IN {pieces:Array(UInt64)} AND `_live` AND `id` IN (SELECT `_source_0` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` = {from:UInt64})
        UNION ALL
        SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, 0, 0 FROM `shop_tidemark`.`sales_chunks`
        WHERE indexHint(`_chunk` IN {here:Array(UInt64)}) AND `id` IN (SELECT `_source_0` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` = {from:UInt64})
        UNION ALL
        SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, 0, 0 FROM `shop_tidemark`.`sales_chunks`
        WHERE indexHint(`_chunk` IN {historic:Array(UInt64)}) AND `id` IN (SELECT `_source_0` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` = {from:UInt64})
            AND (`_chunk`, `id`) NOT IN
            (
                SELECT `_of`, `id` FROM `shop_tidemark`.`sales_masks`
                WHERE `_chunk` IN {masks:Array(UInt64)} AND `id` IN (SELECT `_source_0` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` = {from:UInt64})
            )
    )
    ORDER BY `_lsn` DESC, `_ordinal` DESC
    LIMIT 1 BY `id`
) AS `_older` ON `_changes`.`_source_0` = `_older`.`id`
WHERE `_changes`.`_chunk` = {from:UInt64};

-- compact_changes
INSERT INTO `shop_tidemark`.`sales_changes` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`, `_lsn`, `_ordinal`, `_insert`, `_live`, `_op`, `_time`)
SELECT `_changes`.`id`, `_changes`.`created_at`, `_changes`.`price`, `_changes`.`no\x60te\x27\x5c`, {to:UInt64}, `_changes`.`_lsn`, `_changes`.`_ordinal`, `_newest`.`_first_is_insert` AND NOT {maybe_there:UInt8},
    `_changes`.`_live`, `_changes`.`_op`, `_changes`.`_time`
FROM `shop_tidemark`.`sales_changes` AS `_changes`
INNER JOIN
(
    SELECT `id`, max((`_lsn`, `_ordinal`)) AS `_last`, argMin(`_insert`, (`_lsn`, `_ordinal`)) AS `_first_is_insert`
    FROM `shop_tidemark`.`sales_changes`
    WHERE `_chunk` IN {pieces:Array(UInt64)} AND cityHash64(`id`) BETWEEN {first:UInt64} AND {last:UInt64}
    GROUP BY `id`
) AS `_newest` ON `_changes`.`id` = `_newest`.`id` AND (`_changes`.`_lsn`, `_changes`.`_ordinal`) = `_newest`.`_last`
WHERE `_changes`.`_chunk` IN {pieces:Array(UInt64)} AND cityHash64(`_changes`.`id`) BETWEEN {first:UInt64} AND {last:UInt64};

-- count_changes
SELECT count() FROM `shop_tidemark`.`sales_changes` AS `_changes` WHERE `_chunk` = {piece:UInt64};

-- count_lookups
SELECT count() FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`;

-- locate
SELECT if((`created_at` >= fromUnixTimestamp64Micro({split:Int64}, 'UTC')), 'new_rt', 'new_late') AS `_side`, toUInt64(0), count() FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {pieces:Array(UInt64)} AND `_live` GROUP BY `_side`
UNION ALL
SELECT 'here', `_chunk`, count() FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {here:Array(UInt64)})
    AND `id` IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
GROUP BY `_chunk`;

-- mask_historic
INSERT INTO `shop_tidemark`.`sales_masks` (`_chunk`, `_of`, `id`)
SELECT {to:UInt64}, `_chunk`, `id` FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {historic:Array(UInt64)})
    AND `id` IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
    AND (`_chunk`, `id`) NOT IN
    (
        SELECT `_of`, `id` FROM `shop_tidemark`.`sales_masks`
        WHERE `_chunk` IN {masks:Array(UInt64)}
            AND `id` IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
    );

-- count_masks
SELECT `_of`, count() FROM `shop_tidemark`.`sales_masks` WHERE `_chunk` IN {chunks:Array(UInt64)} GROUP BY `_of` ORDER BY `_of`;

-- merge_masks
INSERT INTO `shop_tidemark`.`sales_masks` (`_chunk`, `_of`, `id`)
SELECT {to:UInt64}, `_of`, `id` FROM `shop_tidemark`.`sales_masks` WHERE `_chunk` IN {from:Array(UInt64)};

-- rewrite
INSERT INTO `shop_tidemark`.`sales_chunks` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`)
SETTINGS max_insert_threads = 4, exclude_materialize_skip_indexes_on_insert = '_key'
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, {to:UInt64} FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
    AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
UNION ALL
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, {fresh:UInt64} FROM `shop_tidemark`.`sales_changes`
WHERE `_chunk` IN {pieces:Array(UInt64)} AND `_live` AND (`created_at` >= fromUnixTimestamp64Micro({split:Int64}, 'UTC'));

-- rewrite
INSERT INTO `shop_tidemark`.`sales_chunks` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`)
SETTINGS exclude_materialize_skip_indexes_on_insert = '_key'
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, {to:UInt64} FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
    AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
UNION ALL
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, {fresh:UInt64} FROM `shop_tidemark`.`sales_changes`
WHERE `_chunk` IN {pieces:Array(UInt64)} AND `_live` AND NOT (`created_at` >= fromUnixTimestamp64Micro({split:Int64}, 'UTC'));

-- rewrite
INSERT INTO `shop_tidemark`.`sales_chunks` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`)
SETTINGS max_threads = 1, exclude_materialize_skip_indexes_on_insert = '_key'
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, {to:UInt64} FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
    AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`);

-- count_chunks
SELECT `_chunk`, count(), toUnixTimestamp64Micro(min(`created_at`)), toUnixTimestamp64Micro(max(`created_at`))
FROM `shop_tidemark`.`sales_chunks`
WHERE `_chunk` IN {chunks:Array(UInt64)}
GROUP BY `_chunk`
ORDER BY `_chunk`;

-- roll
INSERT INTO `shop_tidemark`.`sales_chunks` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`)
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, {to:UInt64} FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {from:Array(UInt64)}) AND NOT (`created_at` >= fromUnixTimestamp64Micro({split:Int64}, 'UTC'));

-- keep
INSERT INTO `shop_tidemark`.`sales_chunks` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`)
SETTINGS exclude_materialize_skip_indexes_on_insert = '_key'
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, if(ifNull(toUnixTimestamp64Micro(`created_at`) >= {far:Int64}, 1), {apart:UInt64}, {to:UInt64}) FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {from:Array(UInt64)}) AND (`created_at` >= fromUnixTimestamp64Micro({split:Int64}, 'UTC'));

-- checksum
SELECT count(), sum(cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`))) FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {chunks:Array(UInt64)}) AND NOT (`created_at` >= fromUnixTimestamp64Micro({split:Int64}, 'UTC'));

-- checksum
SELECT count(), sum(cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`))) FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {chunks:Array(UInt64)}) AND 1;

-- fold
INSERT INTO `shop_tidemark`.`sales_chunks` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`)
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, transform(toInt64(toYYYYMMDD(`created_at`)), {periods:Array(Int64)}, {to:Array(UInt64)}, toUInt64(0))
FROM
(
    SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
        AND (`_chunk`, identity(`id`)) NOT IN (SELECT `_of`, `id` FROM `shop_tidemark`.`sales_masks` WHERE `_chunk` IN {masks:Array(UInt64)})
    UNION ALL
    SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {late:Array(UInt64)})
)
SETTINGS max_threads = 1;

-- fold_periods
SELECT DISTINCT toInt64(toYYYYMMDD(`created_at`)) FROM `shop_tidemark`.`sales_chunks` WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
UNION DISTINCT
SELECT DISTINCT toInt64(toYYYYMMDD(`created_at`)) FROM `shop_tidemark`.`sales_chunks` WHERE indexHint(`_chunk` IN {late:Array(UInt64)});

-- fold
INSERT INTO `shop_tidemark`.`sales_chunks` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`)
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, transform(toInt64(toYYYYMMDD(`created_at`)), {periods:Array(Int64)}, {to:Array(UInt64)}, toUInt64(0))
FROM
(
    SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
        AND (`_chunk`, identity(`id`)) NOT IN (SELECT `_of`, `id` FROM `shop_tidemark`.`sales_masks` WHERE `_chunk` IN {masks:Array(UInt64)})
        AND NOT (({open_start:UInt8} OR `created_at` >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')) AND ({open_end:UInt8} OR `created_at` < fromUnixTimestamp64Micro({until:Int64}, 'UTC')))
    UNION ALL
    SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {late:Array(UInt64)})
)
SETTINGS max_threads = 1;

-- fold_periods
SELECT DISTINCT toInt64(toYYYYMMDD(`created_at`)) FROM `shop_tidemark`.`sales_chunks` WHERE indexHint(`_chunk` IN {from:Array(UInt64)}) AND NOT (({open_start:UInt8} OR `created_at` >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')) AND ({open_end:UInt8} OR `created_at` < fromUnixTimestamp64Micro({until:Int64}, 'UTC')))
UNION DISTINCT
SELECT DISTINCT toInt64(toYYYYMMDD(`created_at`)) FROM `shop_tidemark`.`sales_chunks` WHERE indexHint(`_chunk` IN {late:Array(UInt64)});

-- fold_masks
INSERT INTO `shop_tidemark`.`sales_masks` (`_chunk`, `_of`, `id`)
SELECT {to:UInt64}, `_of`, `id` FROM `shop_tidemark`.`sales_masks`
WHERE `_chunk` IN {masks:Array(UInt64)} AND `_of` NOT IN {from:Array(UInt64)}
UNION ALL
SELECT {to:UInt64}, `_chunk`, `id` FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {built:Array(UInt64)})
    AND `id` IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)});

-- keep_late
INSERT INTO `shop_tidemark`.`sales_chunks` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`)
SETTINGS exclude_materialize_skip_indexes_on_insert = '_key'
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, {to:UInt64} FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
    AND
    (
        `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_chunks` WHERE `_chunk` IN {frozen:Array(UInt64)})
        OR `id` IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)})
    );

-- chunks_in_range
SELECT DISTINCT `_chunk` FROM `shop_tidemark`.`sales_chunks` WHERE indexHint(`_chunk` IN {historic:Array(UInt64)}) AND (({open_start:UInt8} OR `created_at` >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')) AND ({open_end:UInt8} OR `created_at` < fromUnixTimestamp64Micro({until:Int64}, 'UTC'))) ORDER BY `_chunk`;

-- compare
SELECT countIf(`_loaded` = 0), countIf(`_loaded` = 1), sumIf(`_hash`, `_loaded` = 0), sumIf(`_hash`, `_loaded` = 1)
FROM
(
    SELECT 0 AS `_loaded`, [toString(`id`)] AS `_identity`, cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`)) AS `_hash` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {historic:Array(UInt64)}) AND (({open_start:UInt8} OR `created_at` >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')) AND ({open_end:UInt8} OR `created_at` < fromUnixTimestamp64Micro({until:Int64}, 'UTC'))) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)})
        AND (`_chunk`, identity(`id`)) NOT IN (SELECT `_of`, `id` FROM `shop_tidemark`.`sales_masks` WHERE `_chunk` IN {masks:Array(UInt64)})
    UNION ALL
    SELECT 0 AS `_loaded`, [toString(`id`)] AS `_identity`, cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`)) AS `_hash` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {late:Array(UInt64)}) AND (({open_start:UInt8} OR `created_at` >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')) AND ({open_end:UInt8} OR `created_at` < fromUnixTimestamp64Micro({until:Int64}, 'UTC'))) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)})
    UNION ALL
    SELECT 0 AS `_loaded`, [toString(`id`)] AS `_identity`, cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`)) AS `_hash` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {rt:Array(UInt64)}) AND (({open_start:UInt8} OR `created_at` >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')) AND ({open_end:UInt8} OR `created_at` < fromUnixTimestamp64Micro({until:Int64}, 'UTC'))) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)})
    UNION ALL
    SELECT 1 AS `_loaded`, [toString(`id`)] AS `_identity`, cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`)) AS `_hash` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {loaded_historic:Array(UInt64)}) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)})
    UNION ALL
    SELECT 1 AS `_loaded`, [toString(`id`)] AS `_identity`, cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`)) AS `_hash` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {loaded_rt:Array(UInt64)}) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)})

);

-- differ
SELECT `_identity`, countIf(`_loaded` = 0) AS `_here`, countIf(`_loaded` = 1) AS `_there`
FROM
(
    SELECT 0 AS `_loaded`, [toString(`id`)] AS `_identity`, cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`)) AS `_hash` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {historic:Array(UInt64)}) AND (({open_start:UInt8} OR `created_at` >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')) AND ({open_end:UInt8} OR `created_at` < fromUnixTimestamp64Micro({until:Int64}, 'UTC'))) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)})
        AND (`_chunk`, identity(`id`)) NOT IN (SELECT `_of`, `id` FROM `shop_tidemark`.`sales_masks` WHERE `_chunk` IN {masks:Array(UInt64)})
    UNION ALL
    SELECT 0 AS `_loaded`, [toString(`id`)] AS `_identity`, cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`)) AS `_hash` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {late:Array(UInt64)}) AND (({open_start:UInt8} OR `created_at` >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')) AND ({open_end:UInt8} OR `created_at` < fromUnixTimestamp64Micro({until:Int64}, 'UTC'))) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)})
    UNION ALL
    SELECT 0 AS `_loaded`, [toString(`id`)] AS `_identity`, cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`)) AS `_hash` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {rt:Array(UInt64)}) AND (({open_start:UInt8} OR `created_at` >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')) AND ({open_end:UInt8} OR `created_at` < fromUnixTimestamp64Micro({until:Int64}, 'UTC'))) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)})
    UNION ALL
    SELECT 1 AS `_loaded`, [toString(`id`)] AS `_identity`, cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`)) AS `_hash` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {loaded_historic:Array(UInt64)}) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)})
    UNION ALL
    SELECT 1 AS `_loaded`, [toString(`id`)] AS `_identity`, cityHash64(tuple(`id`, `created_at`, `price`, `no\x60te\x27\x5c`)) AS `_hash` FROM `shop_tidemark`.`sales_chunks`
    WHERE indexHint(`_chunk` IN {loaded_rt:Array(UInt64)}) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)})

)
GROUP BY `_identity`
HAVING `_here` != `_there` OR uniqExact(`_hash`) > 1
ORDER BY `_identity`
LIMIT {limit:UInt64};

-- replace
INSERT INTO `shop_tidemark`.`sales_chunks` (`id`, `created_at`, `price`, `no\x60te\x27\x5c`, `_chunk`)
SETTINGS exclude_materialize_skip_indexes_on_insert = '_key'
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, {to:UInt64} FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {from:Array(UInt64)}) AND NOT ((({open_start:UInt8} OR `created_at` >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')) AND ({open_end:UInt8} OR `created_at` < fromUnixTimestamp64Micro({until:Int64}, 'UTC'))) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)}))
UNION ALL
SELECT `id`, `created_at`, `price`, `no\x60te\x27\x5c`, {to:UInt64} FROM `shop_tidemark`.`sales_chunks`
WHERE indexHint(`_chunk` IN {loaded:Array(UInt64)}) AND `id` NOT IN (SELECT `id` FROM `shop_tidemark`.`sales_changes` WHERE `_chunk` IN {journal:Array(UInt64)});

-- add_columns
ALTER TABLE `shop_tidemark`.`sales_chunks`
    ADD COLUMN IF NOT EXISTS `added_2` Int64 DEFAULT 1;

-- check_invariants
WITH (SELECT (`term`, `epoch`, `lsn`, `commit_time`, `tables`, `aggregates`, `masked`) FROM `shop`.`split_date` ORDER BY `term` DESC, `epoch` DESC LIMIT 1) AS `_mark`
SELECT
    (SELECT count() FROM `shop_tidemark`.`sales_chunks` WHERE `_chunk` IN (`_mark`.5)['sales'].rt AND NOT (`created_at` >= fromUnixTimestamp64Micro({split:Int64}, 'UTC'))) AS `rt_before_split`,
    (SELECT count() FROM `shop_tidemark`.`sales_chunks` WHERE `_chunk` IN arrayConcat((`_mark`.5)['sales'].clean, (`_mark`.5)['sales'].dirty) AND (`created_at` >= fromUnixTimestamp64Micro({split:Int64}, 'UTC'))) AS `historic_after_split`,
    (SELECT count() FROM `shop_tidemark`.`sales_chunks` WHERE `_chunk` IN (`_mark`.5)['sales'].late AND (`created_at` >= fromUnixTimestamp64Micro({split:Int64}, 'UTC'))) AS `late_after_split`,
    (SELECT count() FROM
    (
        SELECT 1 FROM
        (
            SELECT `id` FROM `shop_tidemark`.`sales_chunks`
            WHERE `_chunk` IN arrayConcat((`_mark`.5)['sales'].clean, (`_mark`.5)['sales'].dirty)
                AND (`_chunk`, `id`) NOT IN (SELECT `_of`, `id` FROM `shop_tidemark`.`sales_masks` WHERE `_chunk` IN (`_mark`.5)['sales'].masks)
            UNION ALL SELECT `id` FROM `shop_tidemark`.`sales_chunks` WHERE `_chunk` IN arrayConcat((`_mark`.5)['sales'].late, (`_mark`.5)['sales'].rt)
        )
        GROUP BY `id`
        HAVING count() > 1
    )) AS `live_twice`,
    (SELECT count() FROM
    (
        SELECT `_of`, `id` FROM `shop_tidemark`.`sales_masks` WHERE `_chunk` IN (`_mark`.5)['sales'].masks
        GROUP BY `_of`, `id` HAVING count() > 1
    )) AS `masked_twice`,
    (SELECT count() FROM `shop_tidemark`.`sales_masks`
        WHERE `_chunk` IN (`_mark`.5)['sales'].masks
            AND (`_of`, `id`) NOT IN (SELECT `_chunk`, `id` FROM `shop_tidemark`.`sales_chunks` WHERE `_chunk` IN (`_mark`.5)['sales'].dirty)) AS `masks_of_nothing`,
    toInt64((`_mark`.5)['sales'].rows)
        - (SELECT count() FROM `shop_tidemark`.`sales_chunks` WHERE `_chunk` IN arrayConcat((`_mark`.5)['sales'].clean, (`_mark`.5)['sales'].dirty, (`_mark`.5)['sales'].late, (`_mark`.5)['sales'].rt)) AS `rows_missing`;

-- drop_partitions
ALTER TABLE `shop_tidemark`.`sales_masks` DROP PARTITION ID '1';

-- clear_partitions
ALTER TABLE `shop_tidemark`.`sales_chunks` REPLACE PARTITION ID '20260101-1' FROM `shop_tidemark`.`sales_empty`, REPLACE PARTITION ID '0-2' FROM `shop_tidemark`.`sales_empty`;

-- drop_partitions
ALTER TABLE `shop_tidemark`.`sales_chunks` DROP PARTITION ID '20260101-1';

-- add_columns
ALTER TABLE `shop_tidemark`.`sales_empty`
    ADD COLUMN IF NOT EXISTS `added_2` Int64;

-- drop_view
DROP VIEW IF EXISTS `shop_tidemark`.`sales_rt`;

-- drop_view
DROP VIEW IF EXISTS `shop_tidemark`.`sales_late`;

-- drop_view
DROP VIEW IF EXISTS `shop_tidemark`.`sales_historic`;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`sales_chunks` SYNC;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`sales_empty` SYNC;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`sales_masks` SYNC;

-- drop_table
DROP TABLE IF EXISTS `shop_tidemark`.`sales_changes` SYNC;

