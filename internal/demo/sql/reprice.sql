-- $1 product, $2 factor
UPDATE products SET price = greatest(0.99, round(price * $2::double precision::numeric, 2)), updated_at = now() WHERE id = $1
