-- $1 products; every eighth has a manual
INSERT INTO products (id, sku, name, category, price, manual)
SELECT
    n,
    'SKU-' || lpad(n::text, 5, '0'),
    'Product ' || n,
    (ARRAY['books', 'garden', 'kitchen', 'music', 'sports', 'toys'])[1 + n % 6],
    round((1 + random() * 199)::numeric, 2),
    CASE WHEN n % 8 = 0 THEN (SELECT string_agg(md5(n::text || line::text), ' ') FROM generate_series(1, 150) AS line) END
FROM generate_series(1, $1::integer) AS n
