-- The published tables; and the partitioned ones whose leaves are published, all of them, under their own names.
-- to_jsonb because PostgreSQL 14's view has neither attnames nor rowfilter.
WITH published AS (
    SELECT c.oid, to_jsonb(p) -> 'attnames' AS attnames, to_jsonb(p) ->> 'rowfilter' AS rowfilter, '{}'::oid[] AS leaves
    FROM pg_catalog.pg_publication_tables p
    JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
    WHERE p.pubname = $1
), roots AS (
    SELECT pg_partition_root(p.oid) AS oid, NULL::jsonb AS attnames, NULL::text AS rowfilter, array_agg(c.oid) AS leaves
    FROM published p
    JOIN pg_catalog.pg_class c ON c.oid = p.oid AND c.relispartition AND c.relkind = 'r'
    GROUP BY 1
    HAVING pg_partition_root(min(p.oid)) NOT IN (SELECT oid FROM published)
       AND bool_and(p.rowfilter IS NULL)
       AND count(*) = (SELECT count(*) FROM pg_partition_tree(pg_partition_root(min(p.oid))) t WHERE t.isleaf)
)
SELECT c.oid,
       n.nspname::text,
       c.relname::text,
       c.relreplident,
       c.relkind = 'p' AS partitioned,
       size.rows::bigint,
       size.pages::bigint,
       CASE WHEN key.columns IS NULL OR key.deferrable THEN '{}' ELSE key.columns END,
       coalesce(key.deferrable, false),
       coalesce(p.rowfilter, ''),
       p.leaves,
       ARRAY(SELECT ARRAY[s.nspname::text, child.relname::text]
             FROM pg_catalog.pg_inherits i
             JOIN pg_catalog.pg_class child ON child.oid = i.inhrelid
             JOIN pg_catalog.pg_namespace s ON s.oid = child.relnamespace
             WHERE i.inhparent = c.oid AND c.relkind <> 'p'
             ORDER BY 1),
       row_security_active(c.oid),
       has_schema_privilege(n.oid, 'USAGE') AND (
           has_table_privilege(c.oid, 'SELECT')
           OR NOT EXISTS (
               SELECT FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                 AND coalesce(p.attnames ? a.attname, true)
                 AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT')))
FROM (SELECT * FROM published UNION ALL SELECT * FROM roots) p
JOIN pg_catalog.pg_class c ON c.oid = p.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY a.attnum) AS columns, NOT bool_and(i.indimmediate) AS deferrable
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_attribute a
      ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
    WHERE i.indrelid = c.oid
      AND i.indisvalid
      AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary END
) key ON true
CROSS JOIN LATERAL (
    SELECT CASE WHEN min(leaf.reltuples) < 0 THEN -1 ELSE sum(leaf.reltuples) END AS rows,
           sum(pg_relation_size(leaf.oid)) / current_setting('block_size')::int AS pages
    FROM pg_catalog.pg_class leaf
    WHERE leaf.oid = c.oid AND c.relkind <> 'p'
       OR c.relkind = 'p' AND leaf.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)
) size
ORDER BY n.nspname, c.relname
