CREATE TYPE sale_status AS ENUM ('new', 'paid', 'shipped', 'cancelled', 'refunded');

CREATE TABLE stores (
    id integer PRIMARY KEY,
    name text NOT NULL,
    city text NOT NULL,
    opened_on date NOT NULL
);

CREATE TABLE products (
    id integer PRIMARY KEY,
    sku text NOT NULL UNIQUE,
    name text NOT NULL,
    category text NOT NULL,
    price numeric(12, 2) NOT NULL,
    active boolean NOT NULL DEFAULT true,
    manual text, -- long enough to be stored out of line in some rows
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- received - on_hand is what was sold, at every commit.
CREATE TABLE stock (
    store_id integer NOT NULL REFERENCES stores,
    product_id integer NOT NULL REFERENCES products,
    on_hand integer NOT NULL CHECK (on_hand >= 0),
    received integer NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store_id, product_id)
);

CREATE TABLE sales (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_id integer NOT NULL,
    product_id integer NOT NULL,
    customer_id integer NOT NULL,
    status sale_status NOT NULL DEFAULT 'new',
    qty integer NOT NULL CHECK (qty > 0),
    price numeric(12, 2) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    note text
);

-- What the aggregate of this name in ClickHouse has to show.
CREATE VIEW revenue_per_customer AS
SELECT customer_id, sum(price * qty) AS revenue, count(*) AS sales, max(created_at) AS last_sale
FROM sales
WHERE status NOT IN ('cancelled', 'refunded')
GROUP BY customer_id;

CREATE PUBLICATION tidemark FOR TABLE stores, products, stock, sales;
