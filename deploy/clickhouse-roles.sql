-- What tidemark and its readers may do in ClickHouse. Run it once, as a user with access management:
--
--   clickhouse-client --queries-file clickhouse-roles.sql
--
-- `shop` is the database of clickhouse.dsn, `shop_tidemark` that of the internal tables: write your own in their place.
-- Give the user a real password or certificate; the one below is refused.

CREATE USER IF NOT EXISTS tidemark IDENTIFIED WITH no_authentication HOST NONE;

-- Both databases are made by tidemark itself, as are their tables and views.
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP VIEW, SELECT, INSERT, ALTER DELETE, ALTER ADD COLUMN ON shop.* TO tidemark;
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP VIEW, SELECT, INSERT, ALTER DELETE, ALTER ADD COLUMN ON shop_tidemark.* TO tidemark;
-- CREATE OR REPLACE VIEW makes the new view under such a name, and drops the old one under it.
GRANT DROP TABLE ON shop._tmp_replace_* TO tidemark;
GRANT TABLE ENGINE ON Atomic TO tidemark;
GRANT TABLE ENGINE ON MergeTree TO tidemark;
GRANT TABLE ENGINE ON ReplacingMergeTree TO tidemark;

-- Which chunks there are, and which queries may still read them, whoever runs those.
GRANT SELECT(database, `table`, partition_id, bytes_on_disk, active) ON system.parts TO tidemark;
-- A new writer also ends the statements of the one before it; those of the same user need no KILL QUERY.
GRANT SELECT ON system.processes TO tidemark;
-- `tidemark check` lists views with SQL SECURITY DEFINER over ours, wherever they are.
GRANT SHOW TABLES ON *.* TO tidemark;

-- Only for `tidemark uninstall --data`, for tables and aggregates that are made anew, and for an upgrade of the format of the
-- marks; revoke them if somebody else is to do that.
GRANT DROP TABLE ON shop.split_date TO tidemark;
GRANT DROP TABLE, DROP DATABASE ON shop_tidemark.* TO tidemark;

-- Who queries the views. The internal tables are needed because views run with the rights of the one who asks.
CREATE ROLE IF NOT EXISTS tidemark_reader;
GRANT SELECT ON shop.* TO tidemark_reader;
GRANT SELECT ON shop_tidemark.* TO tidemark_reader;

-- e.g. CREATE USER grafana IDENTIFIED BY '…' DEFAULT ROLE tidemark_reader;  GRANT tidemark_reader TO grafana;
