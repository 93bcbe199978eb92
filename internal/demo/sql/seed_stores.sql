-- $1 stores
INSERT INTO stores (id, name, city, opened_on)
SELECT n, 'Store ' || n, city, date '2015-01-01' + n * 53
FROM (
    SELECT n, (ARRAY['Berlin', 'Hamburg', 'München', 'Köln', 'Leipzig', 'Wien', 'Graz', 'Zürich'])[1 + n % 8] AS city
    FROM generate_series(1, $1::integer) AS n
) AS numbered
