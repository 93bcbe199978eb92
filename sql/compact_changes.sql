INSERT INTO {{.Changes}} ({{columns .Columns}}, `_chunk`, `_lsn`, `_ordinal`, `_insert`, `_live`)
SELECT {{prefixed "`_changes`" .Columns}}, {to:UInt64}, `_changes`.`_lsn`, `_changes`.`_ordinal`, `_newest`.`_first_is_insert` AND NOT {maybe_there:UInt8}, `_changes`.`_live`
FROM {{.Changes}} AS `_changes`
INNER JOIN
(
    SELECT {{idents .Key}}, max((`_lsn`, `_ordinal`)) AS `_last`, argMin(`_insert`, (`_lsn`, `_ordinal`)) AS `_first_is_insert`
    FROM {{.Changes}}
    WHERE `_chunk` IN {pieces:Array(UInt64)}
    GROUP BY {{idents .Key}}
) AS `_newest` ON {{equal "`_changes`" "`_newest`" .Key}} AND (`_changes`.`_lsn`, `_changes`.`_ordinal`) = `_newest`.`_last`
WHERE `_changes`.`_chunk` IN {pieces:Array(UInt64)}
