-- The partitioned tables that table $1 is a partition of, near or far.
SELECT n.nspname::text, c.relname::text
FROM pg_partition_ancestors($1::oid) a
JOIN pg_catalog.pg_class c ON c.oid = a.relid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid <> $1::oid
