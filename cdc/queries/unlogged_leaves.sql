-- The leaves of partitioned table $1 that are unlogged.
SELECT n.nspname::text, leaf.relname::text
FROM pg_partition_tree($1::oid) t
JOIN pg_catalog.pg_class leaf ON leaf.oid = t.relid
JOIN pg_catalog.pg_namespace n ON n.oid = leaf.relnamespace
WHERE t.isleaf AND leaf.relpersistence = 'u'
ORDER BY n.nspname, leaf.relname
LIMIT 5
