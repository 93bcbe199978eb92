-- Where there is no aggregate's view, as in the limit and the peer, its rows are grouped.
SELECT minute, sales, revenue FROM {by_minute} WHERE minute >= toStartOfDay(now()) - INTERVAL 3 DAY AND minute < toStartOfDay(now()) - INTERVAL 2 DAY AND store_id = 7 ORDER BY minute
