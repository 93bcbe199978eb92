INSERT INTO {{.Changes}} ({{columns .Columns}}, `_chunk`, `_lsn`, `_ordinal`, `_insert`, `_live`, `_op`, `_time`)
SELECT {{prefixed "`_changes`" .Columns}}, {to:UInt64}, `_changes`.`_lsn`, `_changes`.`_ordinal`, `_newest`.`_first_is_insert` AND NOT {maybe_there:UInt8},
    `_changes`.`_live`{{if .Retains}} AND {{.Retained}}{{end}}, `_changes`.`_op`, `_changes`.`_time`
FROM {{.Changes}} AS `_changes`
INNER JOIN
(
    SELECT {{idents .Key}}, max((`_lsn`, `_ordinal`)) AS `_last`, argMin(`_insert`, (`_lsn`, `_ordinal`)) AS `_first_is_insert`
    FROM {{.Changes}}
    WHERE `_chunk` IN {pieces:Array(UInt64)} AND {{.InSlice ""}}
    GROUP BY {{idents .Key}}
) AS `_newest` ON {{equal "`_changes`" "`_newest`" .Key}} AND (`_changes`.`_lsn`, `_changes`.`_ordinal`) = `_newest`.`_last`
WHERE `_changes`.`_chunk` IN {pieces:Array(UInt64)} AND {{.InSlice "`_changes`"}}
{{- if .KeepsOld}}
    AND NOT
    (
        NOT `_changes`.`_live` AND `_changes`.`_op` = {{.Deleted}}
        AND ({{prefixed "`_changes`" .KeyColumns}}) IN
        (
            SELECT {{idents .Key}} FROM {{.Chunks}}
            WHERE indexHint(`_chunk` IN {historic:Array(UInt64)}) AND {{.Old}}
                AND {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_live` AND {{.InSlice ""}})
                AND (`_chunk`, {{idents .Key}}) NOT IN
                (
                    SELECT `_of`, {{idents .Key}} FROM {{.Masks}}
                    WHERE `_chunk` IN {masks:Array(UInt64)}
                        AND {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_live` AND {{.InSlice ""}})
                )
            UNION ALL
            SELECT {{idents .Key}} FROM {{.Chunks}}
            WHERE indexHint(`_chunk` IN {late:Array(UInt64)}) AND {{.Old}}
                AND {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_live` AND {{.InSlice ""}})
        )
    )
{{- end}}
