SELECT st.region, p.category, sum(s.price * s.qty) FROM {sales} AS s JOIN {stores} AS st ON st.id = s.store_id JOIN {products} AS p ON p.id = s.product_id
WHERE s.created_at >= now() - INTERVAL 4 DAY GROUP BY st.region, p.category ORDER BY st.region, p.category
