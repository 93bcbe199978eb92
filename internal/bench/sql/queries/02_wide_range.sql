SELECT store_id, sum(price * qty), count() FROM {sales} WHERE created_at >= now() - INTERVAL 9 DAY AND created_at < now() - INTERVAL 1 DAY GROUP BY store_id ORDER BY store_id
