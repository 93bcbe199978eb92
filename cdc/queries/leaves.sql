-- The leaves of those of the tables $2, of schemas $1, that are partitioned. A leaf's stamp changes whenever rows come to the
-- table, or leave it, that no WAL row announces under the table's name: it tells how the leaf is attached (the transactions
-- that wrote its path to the root) and which file it has, which TRUNCATE of the leaf changes.
SELECT r.nspname::text,
       root.relname::text,
       leaf.oid,
       n.nspname::text,
       leaf.relname::text,
       coalesce((SELECT string_agg(i.inhrelid || '@' || i.xmin, ' ' ORDER BY i.inhrelid)
                 FROM pg_partition_ancestors(leaf.oid) a
                 JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.relid), '') || ' ' || coalesce(pg_relation_filenode(leaf.oid), 0),
       coalesce(pg_get_partition_constraintdef(leaf.oid), ''),
       coalesce(pg_relation_size(leaf.oid), 1) = 0
FROM pg_catalog.pg_class root
JOIN pg_catalog.pg_namespace r ON r.oid = root.relnamespace
CROSS JOIN LATERAL pg_partition_tree(root.oid) t
JOIN pg_catalog.pg_class leaf ON leaf.oid = t.relid
JOIN pg_catalog.pg_namespace n ON n.oid = leaf.relnamespace
WHERE (r.nspname::text, root.relname::text) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND root.relkind = 'p' AND t.isleaf AND leaf.relkind <> 'p'
ORDER BY leaf.oid
