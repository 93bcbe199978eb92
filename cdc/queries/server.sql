SELECT current_setting('server_version_num')::int / 10000,
       current_setting('wal_level'),
       pg_is_in_recovery(),
       current_setting('max_wal_senders')::int,
       current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_catalog.pg_stat_replication)::int,
       current_setting('max_replication_slots')::int,
       current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_catalog.pg_replication_slots)::int,
       EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = $1)
