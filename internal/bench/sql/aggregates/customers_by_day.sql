-- view
SELECT day, customers FROM bench.customers_by_day;
-- by hand
SELECT day, uniqMerge(customers) FROM bench.hand_customers_by_day GROUP BY day;
-- rows
SELECT toDate(created_at) AS day, uniq(customer_id) FROM bench.sales GROUP BY day;
