-- view
WITH (SELECT revenue FROM bench.revenue_per_customer WHERE customer_id = 42) AS mine SELECT countIf(revenue < mine) / count() FROM bench.revenue_per_customer;
-- by hand
WITH (SELECT sumMerge(revenue) FROM bench.hand_revenue_per_customer WHERE customer_id = 42) AS mine SELECT countIf(r < mine) / count() FROM (SELECT sumMerge(revenue) AS r FROM bench.hand_revenue_per_customer GROUP BY customer_id);
-- rows
WITH (SELECT sum(price * qty) FROM bench.sales WHERE customer_id = 42) AS mine SELECT countIf(r < mine) / count() FROM (SELECT sum(price * qty) AS r FROM bench.sales GROUP BY customer_id);
