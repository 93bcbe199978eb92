-- Whether column $2 of table $1 leads an index, or is the first of its partition key.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = $1 AND a.attname = $2
      AND (a.attnum IN (SELECT i.indkey[0] FROM pg_catalog.pg_index i WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL)
        OR a.attnum IN (SELECT p.partattrs[0] FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = $1))
)
