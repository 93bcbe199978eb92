-- {by_minute} is the aggregate's view; the limit and the peer, which have none, group the rows.
SELECT minute, sales, revenue FROM {by_minute} WHERE minute >= toStartOfDay(now()) - INTERVAL 3 DAY AND minute < toStartOfDay(now()) - INTERVAL 2 DAY AND store_id = 7 ORDER BY minute
