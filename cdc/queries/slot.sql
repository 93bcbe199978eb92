SELECT coalesce(plugin::text, ''),
       coalesce(database::text, ''),
       active,
       coalesce(active_pid, 0),
       coalesce(confirmed_flush_lsn, '0/0')::text,
       coalesce(restart_lsn, '0/0')::text,
       coalesce(wal_status, 'lost'),
       coalesce(wal_status, 'lost') = 'lost' OR coalesce((to_jsonb(s) ->> 'conflicting')::bool, false),
       coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - restart_lsn, 0)::bigint,
       coalesce(age(catalog_xmin), 0)
FROM pg_catalog.pg_replication_slots s
WHERE slot_name = $1
