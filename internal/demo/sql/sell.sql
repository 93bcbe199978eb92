-- A sale takes the goods from the stock, which is refilled when it would run out.
-- $1 store, $2 product, $3 customer, $4 quantity, $5 status, $6 how long ago, $7 note
WITH taken AS (
    UPDATE stock SET
        on_hand = on_hand - $4::integer + CASE WHEN on_hand < $4::integer THEN 100 ELSE 0 END,
        received = received + CASE WHEN on_hand < $4::integer THEN 100 ELSE 0 END,
        updated_at = now()
    WHERE store_id = $1 AND product_id = $2
    RETURNING store_id, product_id
)
INSERT INTO sales (store_id, product_id, customer_id, status, qty, price, created_at, note)
SELECT taken.store_id, taken.product_id, $3, $5::sale_status, $4::integer, products.price, now() - $6::interval, $7
FROM taken
JOIN products ON products.id = taken.product_id
RETURNING id
