SELECT toStartOfMinute(created_at) AS minute, count(), sum(price * qty) FROM {sales} WHERE created_at >= now() - INTERVAL 2 HOUR GROUP BY minute ORDER BY minute
