-- What happened to published tables. An entry that is taken out of the publication and put in again is another one. The files
-- of a partitioned table are those of its partitions.
SELECT c.oid,
       c.relnatts,
       concat(p.oid, '.', r.oid),
       CASE c.relkind WHEN 'p' THEN (
           SELECT coalesce(md5(string_agg(concat(leaf.oid, '.', leaf.relfilenode), ',' ORDER BY leaf.oid)), '')
           FROM pg_partition_tree(c.oid) tree
           JOIN pg_catalog.pg_class leaf ON leaf.oid = tree.relid
           WHERE tree.isleaf)
       ELSE c.relfilenode::text END
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_publication p ON p.pubname = $1
LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
WHERE c.oid = ANY ($2::oid[])
