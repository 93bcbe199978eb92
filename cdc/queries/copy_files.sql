-- The pages of table $1, or of each of its partitions, and whether the file is the one that the snapshot knows:
-- pg_class is read under the transaction's snapshot, pg_relation_filenode tells the present.
SELECT n.nspname || '.' || c.relname,
       coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int,
       coalesce(c.relfilenode = pg_relation_filenode(c.oid), false),
       c.oid || ':' || coalesce(c.relfilenode, 0)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND (c.oid = $1 OR c.oid IN (SELECT relid FROM pg_partition_tree($1) WHERE isleaf))
