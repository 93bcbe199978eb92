-- The peer: the tables as PeerDB creates them (flow/connectors/clickhouse/normalize.go), with the ordering key that its
-- makers advise for queries like ours: the columns that queries filter by, and the primary key last. Queries read them
-- with FINAL and without deleted rows.
CREATE TABLE bench.peer_sales (
    `id` Int64, `created_at` DateTime64(6), `store_id` Int32, `customer_id` Int32, `product_id` Int32,
    `status` String, `qty` Int32, `price` Decimal(12, 2), `note` Nullable(String),
    `_peerdb_synced_at` DateTime64(9) DEFAULT now64(), `_peerdb_is_deleted` UInt8, `_peerdb_version` UInt64
) ENGINE = ReplacingMergeTree(`_peerdb_version`) PRIMARY KEY (`store_id`, `created_at`, `id`) ORDER BY (`store_id`, `created_at`, `id`) SETTINGS allow_nullable_key = 1;
CREATE TABLE bench.peer_stores (
    `id` Int32, `name` String, `region` String,
    `_peerdb_synced_at` DateTime64(9) DEFAULT now64(), `_peerdb_is_deleted` UInt8, `_peerdb_version` UInt64
) ENGINE = ReplacingMergeTree(`_peerdb_version`) PRIMARY KEY `id` ORDER BY `id`;
CREATE TABLE bench.peer_products (
    `id` Int32, `name` String, `category` String,
    `_peerdb_synced_at` DateTime64(9) DEFAULT now64(), `_peerdb_is_deleted` UInt8, `_peerdb_version` UInt64
) ENGINE = ReplacingMergeTree(`_peerdb_version`) PRIMARY KEY `id` ORDER BY `id`;
