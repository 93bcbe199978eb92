-- The other peer: ClickHouse's own replication of PostgreSQL, with its defaults.
CREATE DATABASE materialized ENGINE = MaterializedPostgreSQL('{address}', 'postgres', 'postgres', '') SETTINGS materialized_postgresql_tables_list = 'sales';
