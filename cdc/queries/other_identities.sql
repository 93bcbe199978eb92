-- The leaves of partitioned table $1 whose changes name a row by something else than the columns $2: PostgreSQL goes by
-- the replica identity of the leaf, which ALTER TABLE of the root does not change.
SELECT n.nspname::text, leaf.relname::text
FROM pg_partition_tree($1::oid) t
JOIN pg_catalog.pg_class leaf ON leaf.oid = t.relid
JOIN pg_catalog.pg_namespace n ON n.oid = leaf.relnamespace
WHERE t.isleaf AND leaf.relkind = 'r' AND leaf.relreplident <> 'f'
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_index i
      WHERE i.indrelid = leaf.oid AND i.indisvalid
        AND CASE leaf.relreplident WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary END
        AND $2::text[] <@ ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = leaf.oid AND a.attnum = ANY (i.indkey)))
ORDER BY n.nspname, leaf.relname
LIMIT 5
