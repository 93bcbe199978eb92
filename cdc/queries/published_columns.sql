-- Generated columns are published from version 18 on, and only then do attnames tell which.
WITH RECURSIVE domain AS (
    SELECT oid AS start, oid AS type, -1 AS typmod, typtype, typbasetype, typtypmod
    FROM pg_catalog.pg_type
    WHERE typtype = 'd'
    UNION ALL
    SELECT d.start, t.oid, d.typtypmod, t.typtype, t.typbasetype, t.typtypmod
    FROM domain d
    JOIN pg_catalog.pg_type t ON t.oid = d.typbasetype
    WHERE d.typtype = 'd'
)
SELECT c.oid,
       a.attname::text,
       a.attnum,
       a.atttypid,
       a.atttypmod,
       format_type(a.atttypid, a.atttypmod),
       base.oid,
       CASE WHEN d.start IS NULL THEN a.atttypmod ELSE d.typmod END,
       CASE WHEN base.typcategory = 'A' THEN base.typelem ELSE 0::oid END,
       base.typtype = 'e',
       a.attnotnull AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_constraint k
           WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated),
       a.attgenerated <> ''
FROM pg_catalog.pg_publication_tables p
JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN domain d ON d.start = a.atttypid AND d.typtype <> 'd'
JOIN pg_catalog.pg_type base ON base.oid = coalesce(d.type, a.atttypid)
WHERE p.pubname = $1
  AND coalesce(to_jsonb(p) -> 'attnames' ? a.attname, true)
  AND (a.attgenerated = '' OR current_setting('server_version_num')::int >= 180000)
ORDER BY c.oid, a.attnum
