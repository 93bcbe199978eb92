-- The end of the WAL, and a digest of what ReadCatalog reads of some tables and DDL changes. It takes no lock on them: an
-- ALTER TABLE under way must not keep anybody waiting. What a publication publishes depends on it.
WITH publication AS (
    SELECT oid, xmin FROM pg_catalog.pg_publication WHERE pubname = $1
)
SELECT pg_current_wal_insert_lsn()::text,
       md5(concat_ws(
           ';',
           (SELECT concat(oid, '.', xmin) FROM publication),
           (SELECT string_agg(concat(d.classid, '.', d.objid), ',' ORDER BY d.classid, d.objid)
            FROM pg_catalog.pg_depend d
            JOIN publication p ON d.refobjid = p.oid AND d.refclassid = 'pg_publication'::regclass),
           (SELECT string_agg(concat_ws(
                       '.', c.oid, c.relnamespace, c.relname, c.relkind, c.relreplident, c.relfilenode,
                       (SELECT string_agg(concat(a.attnum, '.', a.xmin), ',' ORDER BY a.attnum)
                        FROM pg_catalog.pg_attribute a
                        WHERE a.attrelid = c.oid AND a.attnum > 0),
                       (SELECT string_agg(concat(i.indexrelid, '.', i.xmin), ',' ORDER BY i.indexrelid)
                        FROM pg_catalog.pg_index i
                        WHERE i.indrelid = c.oid)), ',' ORDER BY c.oid)
            FROM unnest($2::text[], $3::text[]) AS wanted (schema, name)
            JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema
            JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name)))
