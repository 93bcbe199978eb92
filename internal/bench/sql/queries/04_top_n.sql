SELECT customer_id, sum(price * qty) AS revenue FROM {sales} WHERE created_at >= now() - INTERVAL 3 DAY GROUP BY customer_id ORDER BY revenue DESC, customer_id LIMIT 10
