INSERT INTO stock (store_id, product_id, on_hand, received)
SELECT stores.id, products.id, 100, 100 + coalesce(sold.qty, 0)
FROM stores
CROSS JOIN products
LEFT JOIN (
    SELECT store_id, product_id, sum(qty) AS qty
    FROM sales
    WHERE status NOT IN ('cancelled', 'refunded')
    GROUP BY store_id, product_id
) AS sold ON sold.store_id = stores.id AND sold.product_id = products.id
