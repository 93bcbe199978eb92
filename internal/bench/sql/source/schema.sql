-- The shop that every part works on. Sales have a date and are split; stores and products are mirrored.
CREATE TABLE sales (
    id bigint PRIMARY KEY,
    created_at timestamptz NOT NULL,
    store_id int NOT NULL,
    customer_id int NOT NULL,
    product_id int NOT NULL,
    status text NOT NULL,
    qty int NOT NULL,
    price numeric(12, 2) NOT NULL,
    note text
);
CREATE TABLE stores (id int PRIMARY KEY, name text NOT NULL, region text NOT NULL);
CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, category text NOT NULL);
INSERT INTO stores SELECT g, 'store ' || g, 'region ' || g % 7 FROM generate_series(0, 49) g;
INSERT INTO products SELECT g, 'product ' || g, 'category ' || g % 20 FROM generate_series(0, 999) g;
CREATE PUBLICATION tidemark FOR TABLE sales, stores, products;

-- fill adds n sales with ids from first on, spread evenly over a time.
CREATE PROCEDURE fill(first bigint, n bigint, since timestamptz, until timestamptz) LANGUAGE sql AS $$
    INSERT INTO sales
    SELECT first + g, since + (until - since) * (g::float8 / n), hashint8(first + g) & 31, hashint8(first + g + 1) & 1048575, hashint8(first + g + 2) & 511,
        (ARRAY['new', 'paid', 'shipped', 'cancelled'])[1 + (hashint8(first + g + 3) & 3)], 1 + (hashint8(first + g + 4) & 3), (hashint8(first + g + 5) & 8191) / 100.0,
        CASE WHEN g % 10 = 0 THEN 'note ' || g END
    FROM generate_series(0, n - 1) g
$$;

-- insert_sales and update_sales make n changes in transactions of ten rows each, to ids from first on.
CREATE PROCEDURE insert_sales(first bigint, n bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0 .. n / 10 - 1 LOOP
        CALL fill(first + i * 10, 10, now() - interval '10 ms', now());
        COMMIT;
    END LOOP;
END $$;
CREATE PROCEDURE update_sales(first bigint, n bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0 .. n / 10 - 1 LOOP
        UPDATE sales SET status = 'paid', qty = qty + 1 WHERE id >= first + i * 10 AND id < first + i * 10 + 10;
        COMMIT;
    END LOOP;
END $$;
