-- The columns of the published tables, and those of the tables $2.
-- Generated columns are published from version 18 on, and only then do attnames tell which.
-- An array has the type of its elements in a type whose array type it is (int2vector is none), and that prints a comma
-- between them.
WITH RECURSIVE domain AS (
    SELECT oid AS start, oid AS type, -1 AS typmod, 0 AS ndims, typtype, typbasetype, typtypmod, typndims
    FROM pg_catalog.pg_type
    WHERE typtype = 'd'
    UNION ALL
    SELECT d.start, t.oid, d.typtypmod, d.typndims, t.typtype, t.typbasetype, t.typtypmod, t.typndims
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
       coalesce(element.oid, 0),
       CASE WHEN e.start IS NOT NULL THEN e.typmod WHEN d.start IS NULL THEN a.atttypmod ELSE d.typmod END,
       CASE WHEN d.start IS NULL THEN a.attndims ELSE d.ndims END,
       coalesce(element.typtype, base.typtype) = 'e',
       a.attnotnull AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_constraint k
           WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated),
       a.attgenerated <> ''
FROM (
    SELECT c.oid, to_jsonb(p) -> 'attnames' AS attnames
    FROM pg_catalog.pg_publication_tables p
    JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
    WHERE p.pubname = $1
    UNION ALL
    SELECT unnest($2::oid[]), NULL
) c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN domain d ON d.start = a.atttypid AND d.typtype <> 'd'
JOIN pg_catalog.pg_type base ON base.oid = coalesce(d.type, a.atttypid)
LEFT JOIN pg_catalog.pg_type declared ON declared.oid = base.typelem AND declared.typarray = base.oid AND declared.typdelim = ','
LEFT JOIN domain e ON e.start = declared.oid AND e.typtype <> 'd'
LEFT JOIN pg_catalog.pg_type element ON element.oid = coalesce(e.type, declared.oid)
WHERE coalesce(c.attnames ? a.attname, true)
  AND (a.attgenerated = '' OR current_setting('server_version_num')::int >= 180000)
ORDER BY c.oid, a.attnum
