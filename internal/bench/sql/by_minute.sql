(SELECT toStartOfMinute(created_at) AS minute, store_id, sum(price * qty) AS revenue, count() AS sales FROM {sales} WHERE status != 'cancelled' GROUP BY minute, store_id)
