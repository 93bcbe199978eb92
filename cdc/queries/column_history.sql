-- What happened to columns. The value that rows from before a column have lies in the catalogue, unless the table was
-- rewritten for it.
SELECT a.attrelid,
       a.attnum,
       a.xmin::text,
       a.atthasdef,
       CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
