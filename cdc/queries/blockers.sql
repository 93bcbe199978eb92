-- What process $1 waits for, and then every other transaction that has written, oldest first: once the one it waits
-- for has ended, PostgreSQL waits for the next of them.
WITH waits AS (
    SELECT transactionid AS xid FROM pg_catalog.pg_locks WHERE pid = $1 AND NOT granted AND locktype = 'transactionid'
), writers AS (
    SELECT l.pid, l.transactionid AS xid, l.virtualtransaction
    FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock' AND l.pid IS DISTINCT FROM $1
), named AS (
    SELECT w.xid,
           CASE WHEN w.pid IS NULL
                THEN format('prepared transaction %s (xid %s, since %s)', coalesce(quote_literal(p.gid), '?'), w.xid,
                            coalesce(to_char(p.prepared, 'YYYY-MM-DD HH24:MI:SS'), '?'))
                ELSE format('pid %s (xid %s, user %s, application %s, %s since %s)', w.pid, w.xid,
                            coalesce(a.usename::text, '?'), coalesce(quote_literal(a.application_name), '?'),
                            coalesce(a.state, 'active'), coalesce(to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS'), '?'))
           END AS what
    FROM writers w
    LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid
    LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = w.xid
)
SELECT coalesce(string_agg(what, '; '), '')
FROM (SELECT what FROM named ORDER BY xid IN (SELECT xid FROM waits) DESC, age(xid) DESC LIMIT 5) first
