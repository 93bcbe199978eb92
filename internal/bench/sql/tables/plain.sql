-- The limit: tables that no change ever reaches, with the same order as the bridge's, in a partition for each day.
CREATE TABLE bench.plain_sales (
    id Int64, created_at DateTime64(6, 'UTC'), store_id Int32, customer_id Int32, product_id Int32,
    status String, qty Int32, price Decimal(12, 2), note Nullable(String)
) ENGINE = MergeTree PARTITION BY toYYYYMMDD(created_at) ORDER BY (store_id, created_at);
CREATE TABLE bench.plain_stores (id Int32, name String, region String) ENGINE = MergeTree ORDER BY id;
CREATE TABLE bench.plain_products (id Int32, name String, category String) ENGINE = MergeTree ORDER BY id;
