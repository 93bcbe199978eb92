CREATE DATABASE fixture_name ENGINE = Atomic;

CREATE DATABASE fixture_name_tidemark ENGINE = Atomic;

CREATE TABLE fixture_name.split_date (`format` UInt16, `term` UInt64, `epoch` UInt64, `lsn` UInt64, `commit_time` DateTime64(6, 'UTC'), `written_at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'), `source` Tuple(system_id String, timeline Int32, database String, slot String), `tables` Map(String, Tuple(split Nullable(DateTime64(6, 'UTC')), clean Array(UInt64), dirty Array(UInt64), masks Array(UInt64), late Array(UInt64), rt Array(UInt64), rows UInt64, shape UInt64, narrowed UInt64)), `chunks` Map(String, Map(UInt64, Tuple(rows UInt64, `from` Int64, to Int64))), `aggregates` Map(String, Tuple(`table` String, definition String, historic Array(UInt64), rows UInt64)), `states` Map(String, Map(UInt64, Tuple(rows UInt64, of Array(UInt64)))), `loads` String DEFAULT '{}', `masked` Map(String, UInt64)) ENGINE = MergeTree PARTITION BY intDiv(epoch, 64) ORDER BY (term, epoch) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', index_granularity = 1 COMMENT 'tidemark: the marks; the newest (term, epoch) is the state that every query sees';

INSERT INTO fixture_name.split_date VALUES
(2,1,4,1000000000000000001,'2026-11-29 02:43:05.811227','2026-11-29 02:43:06.599715','fixture_source',{'sales':('2026-11-29 02:13:00.000000',[1649267441665,1649267441666,1649267441668,1649267441669,1649267441670,1649267441671,1649267441672,1649267441673,1649267441674],[],[],[1099511627794],[1099511627787],11,1099511627788,0),'stores':(NULL,[],[],[],[],[1099511627789],2,1099511627790,0)},{'sales':{1099511627787:(1,8015414400000000,8015414400000000),1099511627794:(1,1704240000000000,1704240000000000),1649267441665:(1,1704067200000000,1704067200000000),1649267441666:(1,1704153600000000,1704153600000000),1649267441668:(1,1704326400000000,1704326400000000),1649267441669:(1,1704412800000000,1704412800000000),1649267441670:(1,1704499200000000,1704499200000000),1649267441671:(1,1704585600000000,1704585600000000),1649267441672:(1,1704672000000000,1704672000000000),1649267441673:(1,1704758400000000,1704758400000000),1649267441674:(1,1704844800000000,1704844800000000)},'stores':{1099511627789:(2,0,0)}},{},{},'{}',{'sales':0,'stores':0});

CREATE TABLE fixture_name_tidemark.partitions (`table` String, `leaves` String, `at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')) ENGINE = ReplacingMergeTree(at) ORDER BY `table` SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', index_granularity = 8192 COMMENT 'tidemark: the partitions in PostgreSQL whose rows the view of a partitioned table shows';

CREATE TABLE fixture_name_tidemark.sales_changes (`id` Int32, `at` Nullable(DateTime64(6, 'UTC')), `note` Nullable(String), `_chunk` UInt64, `_lsn` UInt64, `_ordinal` UInt64, `_insert` UInt8, `_live` UInt8, `_op` UInt8, `_time` DateTime64(6, 'UTC'), `_unchanged` Array(UInt16), `_source_0` Int32) ENGINE = MergeTree PARTITION BY _chunk ORDER BY cityHash64(id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', index_granularity = 8192 COMMENT 'tidemark: the changes of the tick under way to public.sales';

CREATE TABLE fixture_name_tidemark.sales_chunks (`id` Int32, `at` Nullable(DateTime64(6, 'UTC')), `note` Nullable(String), `_chunk` UInt64) ENGINE = MergeTree PARTITION BY (if(bitTest(_chunk, 39), toYYYYMMDD(assumeNotNull(at)), 0), _chunk) ORDER BY id SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', min_age_to_force_merge_seconds = 60, min_age_to_force_merge_on_partition_only = 1, allow_nullable_key = 1, index_granularity = 8192 COMMENT 'tidemark: chunks of public.sales; query the view instead';

INSERT INTO fixture_name_tidemark.sales_chunks VALUES
(4,'2024-01-05 00:00:00.000000','n4',1649267441669),
(5,'2024-01-06 00:00:00.000000','n5',1649267441670),
(6,'2024-01-07 00:00:00.000000','n6',1649267441671),
(7,'2024-01-08 00:00:00.000000','n7',1649267441672),
(8,'2024-01-09 00:00:00.000000','n8',1649267441673),
(9,'2024-01-10 00:00:00.000000','n9',1649267441674),
(100,'2224-01-01 00:00:00.000000','to come',1099511627787),
(2,'2024-01-03 00:00:00.000000','n2',1099511627794),
(0,'2024-01-01 00:00:00.000000','n0',1649267441665),
(1,'2024-01-02 00:00:00.000000','n1',1649267441666),
(2,'2024-01-03 00:00:00.000000','n2',1649267441667),
(3,'2024-01-04 00:00:00.000000','n3',1649267441668);

CREATE TABLE fixture_name_tidemark.sales_empty (`id` Int32, `at` Nullable(DateTime64(6, 'UTC')), `note` Nullable(String), `_chunk` UInt64) ENGINE = MergeTree PARTITION BY (if(bitTest(_chunk, 39), toYYYYMMDD(assumeNotNull(at)), 0), _chunk) ORDER BY id SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', min_age_to_force_merge_seconds = 60, min_age_to_force_merge_on_partition_only = 1, allow_nullable_key = 1, index_granularity = 8192 COMMENT 'tidemark: no row ever; what takes the place of partitions of public.sales that go';

CREATE TABLE fixture_name_tidemark.sales_masks (`_chunk` UInt64, `_of` UInt64, `id` Int32) ENGINE = MergeTree PARTITION BY _chunk ORDER BY (_of, id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', index_granularity = 8192 COMMENT 'tidemark: the dead rows (_of, key) of HISTORIC chunks of public.sales';

INSERT INTO fixture_name_tidemark.sales_masks VALUES
(1099511627792,1649267441667,2);

CREATE TABLE fixture_name_tidemark.shapes (`shape` UInt64, `table` String, `columns` String, `at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')) ENGINE = MergeTree ORDER BY shape SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', index_granularity = 8192 COMMENT 'tidemark: the columns of each table as PostgreSQL described them, by the number that the marks name';

CREATE TABLE fixture_name_tidemark.split_date_log (`format` UInt16, `term` UInt64, `epoch` UInt64, `lsn` UInt64, `commit_time` DateTime64(6, 'UTC'), `written_at` DateTime64(6, 'UTC'), `source` Tuple(system_id String, timeline Int32, database String, slot String), `tables` Map(String, Tuple(split Nullable(DateTime64(6, 'UTC')), clean Array(UInt64), dirty Array(UInt64), masks Array(UInt64), late Array(UInt64), rt Array(UInt64), rows UInt64, shape UInt64, narrowed UInt64)), `chunks` Map(String, Map(UInt64, Tuple(rows UInt64, `from` Int64, to Int64))), `aggregates` Map(String, Tuple(`table` String, definition String, historic Array(UInt64), rows UInt64)), `states` Map(String, Map(UInt64, Tuple(rows UInt64, of Array(UInt64)))), `loads` String DEFAULT '{}', `masked` Map(String, UInt64)) ENGINE = ReplacingMergeTree PARTITION BY toYYYYMMDD(written_at) ORDER BY (term, epoch) TTL toDateTime(written_at) + toIntervalDay(7) SETTINGS old_parts_lifetime = 5, auto_statistics_types = '', index_granularity = 8192 COMMENT 'tidemark: marks that no running query needs any more';

CREATE TABLE fixture_name_tidemark.stores_changes (`id` Int32, `name` Nullable(String), `_chunk` UInt64, `_lsn` UInt64, `_ordinal` UInt64, `_insert` UInt8, `_live` UInt8, `_op` UInt8, `_time` DateTime64(6, 'UTC'), `_unchanged` Array(UInt16), `_source_0` Int32) ENGINE = MergeTree PARTITION BY _chunk ORDER BY cityHash64(id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', index_granularity = 8192 COMMENT 'tidemark: the changes of the tick under way to public.stores';

CREATE TABLE fixture_name_tidemark.stores_chunks (`id` Int32, `name` Nullable(String), `_chunk` UInt64) ENGINE = MergeTree PARTITION BY _chunk ORDER BY id SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', min_age_to_force_merge_seconds = 60, min_age_to_force_merge_on_partition_only = 1, allow_nullable_key = 1, index_granularity = 8192 COMMENT 'tidemark: chunks of public.stores; query the view instead';

INSERT INTO fixture_name_tidemark.stores_chunks VALUES
(1,'one',1099511627789),
(2,NULL,1099511627789);

CREATE TABLE fixture_name_tidemark.stores_empty (`id` Int32, `name` Nullable(String), `_chunk` UInt64) ENGINE = MergeTree PARTITION BY _chunk ORDER BY id SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', min_age_to_force_merge_seconds = 60, min_age_to_force_merge_on_partition_only = 1, allow_nullable_key = 1, index_granularity = 8192 COMMENT 'tidemark: no row ever; what takes the place of partitions of public.stores that go';

CREATE TABLE fixture_name_tidemark.stores_masks (`_chunk` UInt64, `_of` UInt64, `id` Int32) ENGINE = MergeTree PARTITION BY _chunk ORDER BY (_of, id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', index_granularity = 8192 COMMENT 'tidemark: the dead rows (_of, key) of HISTORIC chunks of public.stores';

CREATE TABLE fixture_name_tidemark.verified (`table` String, `since` Int64, `until` Int64, `at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'), `lsn` UInt64, `rows` UInt64, `differences` UInt64) ENGINE = ReplacingMergeTree(at) ORDER BY (`table`, since) SETTINGS old_parts_lifetime = 5, auto_statistics_types = '', index_granularity = 8192 COMMENT 'tidemark: when which range of dates (µs since the epoch) was last compared with PostgreSQL, and what was found';

CREATE TABLE fixture_name_tidemark.writers (`term` UInt64, `writer` UInt64, `at` DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')) ENGINE = MergeTree ORDER BY term SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 5, auto_statistics_types = '', index_granularity = 8192 COMMENT 'tidemark: who began which term; a mark of an older term is not written any more';

INSERT INTO fixture_name_tidemark.writers VALUES
(1,13945743482324060733,'2026-11-29 02:43:04.406888');

