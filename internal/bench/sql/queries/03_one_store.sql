SELECT toDate(created_at) AS day, sum(price * qty) FROM {sales} WHERE store_id = 7 GROUP BY day ORDER BY day
