-- Sales go from new to paid to shipped. $1 ids; those that another transaction works on are passed over
UPDATE sales SET
    status = CASE status WHEN 'new' THEN 'paid'::sale_status ELSE 'shipped' END,
    updated_at = now()
WHERE id IN (
    SELECT id FROM sales WHERE id = ANY ($1::bigint[]) AND status IN ('new', 'paid') FOR UPDATE SKIP LOCKED
)
