-- view
SELECT toStartOfHour(minute) AS h, sum(revenue), sum(sales) FROM bench.sales_by_minute WHERE minute >= '2026-01-08' AND minute < '2026-01-10' GROUP BY h;
-- by hand
SELECT toStartOfHour(minute) AS h, sumMerge(revenue), countMerge(sales) FROM bench.hand_sales_by_minute WHERE minute >= '2026-01-08' AND minute < '2026-01-10' GROUP BY h;
-- rows
SELECT toStartOfHour(created_at) AS h, sum(price * qty), count() FROM bench.sales WHERE status != 'cancelled' AND created_at >= '2026-01-08' AND created_at < '2026-01-10' GROUP BY h;
