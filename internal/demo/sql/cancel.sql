-- A sale that is not paid is deleted when it is cancelled, and the goods go back. $1 id
WITH cancelled AS (
    DELETE FROM sales WHERE id = $1 AND status = 'new' RETURNING store_id, product_id, qty
)
UPDATE stock SET on_hand = on_hand + cancelled.qty, updated_at = now()
FROM cancelled
WHERE stock.store_id = cancelled.store_id AND stock.product_id = cancelled.product_id
