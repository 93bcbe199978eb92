-- $1 sales, spread evenly over the two days up to now; $2 stores, $3 products
INSERT INTO sales (store_id, product_id, customer_id, status, qty, price, created_at, updated_at)
SELECT
    drawn.store_id,
    drawn.product_id,
    drawn.customer_id,
    (CASE
        WHEN drawn.age < interval '1 minute' THEN 'new'
        WHEN drawn.age < interval '10 minutes' THEN 'paid'
        WHEN drawn.chance < 0.03 THEN 'refunded'
        ELSE 'shipped'
    END)::sale_status,
    drawn.qty,
    products.price,
    now() - drawn.age,
    now() - drawn.age
FROM (
    SELECT
        n,
        1 + floor(random() * $2::integer)::integer AS store_id,
        1 + floor(random() * $3::integer)::integer AS product_id,
        1 + floor(random() * 10000)::integer AS customer_id,
        1 + floor(random() * 4)::integer AS qty,
        random() AS chance,
        interval '2 days' * (1 - n / $1::integer::double precision) AS age
    FROM generate_series(1, $1::integer) AS n
) AS drawn
JOIN products ON products.id = drawn.product_id
ORDER BY drawn.n
