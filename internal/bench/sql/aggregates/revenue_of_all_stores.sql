-- view
SELECT store_id, sum(revenue) FROM bench.sales_by_minute GROUP BY store_id;
-- by hand
SELECT store_id, sumMerge(revenue) FROM bench.hand_sales_by_minute GROUP BY store_id;
-- rows
SELECT store_id, sum(price * qty) FROM bench.sales WHERE status != 'cancelled' GROUP BY store_id;
