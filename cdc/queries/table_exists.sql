-- Whether table $2 of schema $1 exists, whether it is unlogged, and whether publication $3 sends its partitions under their own names, were it only
-- because the table has none yet.
SELECT count(*) > 0,
       coalesce(bool_or(c.relpersistence = 'u'), false),
       coalesce(bool_or(c.relkind = 'p' AND NOT p.pubviaroot AND (
           p.puballtables
           OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid)
           OR EXISTS (
               SELECT FROM pg_catalog.pg_publication_tables t
               JOIN pg_catalog.pg_namespace m ON m.nspname = t.schemaname
               JOIN pg_catalog.pg_class leaf ON leaf.relnamespace = m.oid AND leaf.relname = t.tablename
               JOIN pg_partition_tree(c.oid) tree ON tree.relid = leaf.oid
               WHERE t.pubname = p.pubname))), false)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_publication p ON p.pubname = $3
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')
