-- What happened to published tables. The entries in the publication by which it sends a table, or each partition of one, have
-- other numbers when they were taken out and put in again: those of tables, and, from version 15 on, of schemas, of which
-- pg_depend tells in all versions. The files of a partitioned table are those of its partitions.
-- ALTER TABLE that writes rows anew makes another TOAST table; VACUUM FULL, CLUSTER and TRUNCATE keep it.
SELECT c.oid,
       c.relnatts,
       (SELECT coalesce(jsonb_object_agg(sent.oid, concat_ws(
                   '.', p.oid,
                   (SELECT string_agg(r.oid::text, '.' ORDER BY r.oid)
                    FROM pg_catalog.pg_publication_rel r
                    WHERE r.prpubid = p.oid AND (r.prrelid = sent.oid OR r.prrelid IN (SELECT pg_partition_ancestors(sent.oid)))),
                   (SELECT string_agg(e.objid::text, '.' ORDER BY e.objid)
                    FROM pg_catalog.pg_depend e
                    JOIN pg_catalog.pg_depend s ON s.classid = e.classid AND s.objid = e.objid AND s.refclassid = 'pg_namespace'::regclass
                    WHERE e.classid = to_regclass('pg_catalog.pg_publication_namespace')
                      AND e.refclassid = 'pg_publication'::regclass AND e.refobjid = p.oid
                      AND s.refobjid IN (
                          SELECT t.relnamespace
                          FROM pg_catalog.pg_class t
                          WHERE t.oid = sent.oid OR t.oid IN (SELECT pg_partition_ancestors(sent.oid)))))), '{}')
        FROM (
            SELECT c.oid WHERE c.relkind <> 'p'
            UNION ALL
            SELECT tree.relid FROM pg_partition_tree(c.oid) tree WHERE c.relkind = 'p' AND tree.isleaf
        ) sent),
       CASE c.relkind WHEN 'p' THEN (
           SELECT coalesce(md5(string_agg(concat(leaf.oid, '.', leaf.relfilenode), ',' ORDER BY leaf.oid)), '')
           FROM pg_partition_tree(c.oid) tree
           JOIN pg_catalog.pg_class leaf ON leaf.oid = tree.relid
           WHERE tree.isleaf)
       ELSE c.relfilenode::text END,
       c.reltoastrelid
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_publication p ON p.pubname = $1
WHERE c.oid = ANY ($2::oid[])
