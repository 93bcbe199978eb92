SELECT format('pid %s, application %s, user %s, client %s', l.pid, coalesce(quote_literal(a.application_name), '?'),
              coalesce(a.usename::text, '?'), coalesce(host(a.client_addr), 'local or hidden'))
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory'
  AND l.granted
  AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = $1
