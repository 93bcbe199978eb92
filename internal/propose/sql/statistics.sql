-- What PostgreSQL knows of the columns of table $1: their statistics, as ANALYZE left them, and their declarations.
SELECT a.attname::text,
       s.attname IS NOT NULL,
       coalesce(s.null_frac, 0)::float8,
       coalesce(s.n_distinct, 0)::float8,
       coalesce(s.correlation, 0)::float8,
       concat_ws(',', s.most_common_vals::text, s.histogram_bounds::text),
       coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
       a.attidentity <> '',
       EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND a.attnum = ANY (k.conkey))
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = ''
LEFT JOIN pg_catalog.pg_stats s
  ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND s.inherited = (c.relkind = 'p')
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
