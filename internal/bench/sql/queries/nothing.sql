-- Not one of the twelve: what a view adds to a query that has nothing to read.
SELECT sum(price) FROM {sales} WHERE created_at < toDateTime64('2001-01-01 00:00:00', 6, 'UTC')
