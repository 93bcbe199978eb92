CREATE TABLE stores (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE sales (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    store_id int NOT NULL REFERENCES stores,
    qty int NOT NULL,
    price numeric(12, 2) NOT NULL
);
INSERT INTO stores SELECT n, 'Store ' || n FROM generate_series(1, 10) n;
INSERT INTO sales (created_at, store_id, qty, price)
SELECT now() - n * interval '10 s', 1 + n % 10, 1 + n % 3, 1 + n % 97 FROM generate_series(1, 100000) n;
CREATE PUBLICATION tidemark FOR TABLE sales, stores;
