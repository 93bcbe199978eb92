-- view
SELECT minute, store_id, revenue, sales, customers FROM bench.sales_by_minute WHERE minute >= '2026-01-08' AND minute < '2026-01-10';
-- by hand
SELECT minute, store_id, sumMerge(revenue), countMerge(sales), uniqMerge(customers) FROM bench.hand_sales_by_minute WHERE minute >= '2026-01-08' AND minute < '2026-01-10' GROUP BY minute, store_id;
-- rows
SELECT toStartOfMinute(created_at) AS minute, store_id, sum(price * qty), count(), uniq(customer_id) FROM bench.sales WHERE status != 'cancelled' AND created_at >= '2026-01-08' AND created_at < '2026-01-10' GROUP BY minute, store_id;
