SELECT (SELECT max(id) FROM stores), (SELECT max(id) FROM products), (SELECT coalesce(max(id), 0) FROM sales)
