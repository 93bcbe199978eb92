-- The same question, asked by hand as the view has to: the states are merged for each of the aggregate's own keys first.
-- view
SELECT toStartOfHour(minute) AS h, sum(revenue), sum(sales) FROM bench.sales_by_minute WHERE minute >= '2026-01-08' AND minute < '2026-01-10' GROUP BY h;
-- by hand
SELECT toStartOfHour(minute) AS h, sum(r), sum(n) FROM (SELECT minute, sumMerge(revenue) AS r, countMerge(sales) AS n FROM bench.hand_sales_by_minute WHERE minute >= '2026-01-08' AND minute < '2026-01-10' GROUP BY minute, store_id) GROUP BY h;
-- rows
SELECT toStartOfHour(created_at) AS h, sum(price * qty), count() FROM bench.sales WHERE status != 'cancelled' AND created_at >= '2026-01-08' AND created_at < '2026-01-10' GROUP BY h;
