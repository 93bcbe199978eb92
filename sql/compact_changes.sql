INSERT INTO {{.Changes}} ({{columns .Columns}}, `_chunk`, `_lsn`, `_ordinal`, `_insert`, `_live`)
SELECT {{prefixed "c" .Columns}}, {to:UInt64}, c.`_lsn`, c.`_ordinal`, k.`_first_is_insert`, c.`_live`
FROM {{.Changes}} AS c
INNER JOIN
(
    SELECT {{idents .Key}}, max((`_lsn`, `_ordinal`)) AS `_last`, argMin(`_insert`, (`_lsn`, `_ordinal`)) AS `_first_is_insert`
    FROM {{.Changes}}
    WHERE `_chunk` IN {pieces:Array(UInt64)}
    GROUP BY {{idents .Key}}
) AS k ON {{equal "c" "k" .Key}} AND (c.`_lsn`, c.`_ordinal`) = k.`_last`
WHERE c.`_chunk` IN {pieces:Array(UInt64)}
