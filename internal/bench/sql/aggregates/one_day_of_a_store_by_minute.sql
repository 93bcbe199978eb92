-- view
SELECT minute, revenue, sales FROM bench.sales_by_minute WHERE minute >= '2026-01-08' AND minute < '2026-01-09' AND store_id = 7;
-- by hand
SELECT minute, sumMerge(revenue), countMerge(sales) FROM bench.hand_sales_by_minute WHERE minute >= '2026-01-08' AND minute < '2026-01-09' AND store_id = 7 GROUP BY minute, store_id;
-- rows
SELECT toStartOfMinute(created_at) AS minute, sum(price * qty), count() FROM bench.sales WHERE status != 'cancelled' AND created_at >= '2026-01-08' AND created_at < '2026-01-09' AND store_id = 7 GROUP BY minute;
