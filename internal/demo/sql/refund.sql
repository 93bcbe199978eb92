-- A sale that is paid stays when its goods come back. $1 id, $2 note
WITH returned AS (
    UPDATE sales SET
        status = CASE status WHEN 'shipped' THEN 'refunded'::sale_status ELSE 'cancelled' END,
        updated_at = now(),
        note = $2
    WHERE id = $1 AND status IN ('paid', 'shipped')
    RETURNING store_id, product_id, qty
)
UPDATE stock SET on_hand = on_hand + returned.qty, updated_at = now()
FROM returned
WHERE stock.store_id = returned.store_id AND stock.product_id = returned.product_id
