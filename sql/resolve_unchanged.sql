INSERT INTO {{.Changes}} ({{columns .Columns}}, `_chunk`, `_lsn`, `_ordinal`, `_insert`, `_live`, `_op`, `_time`)
SELECT
{{- range $i, $c := .Columns}}
    if(has(`_changes`.`_unchanged`, {{$i}}), `_older`.{{ident $c.Name}}, `_changes`.{{ident $c.Name}}),
{{- end}}
    {to:UInt64}, `_changes`.`_lsn`, `_changes`.`_ordinal`, `_changes`.`_insert`, `_changes`.`_live`, `_changes`.`_op`, `_changes`.`_time`
FROM {{.Changes}} AS `_changes`
INNER JOIN
(
    SELECT {{columns .Columns}}
    FROM
    (
        SELECT {{columns .Columns}}, `_lsn`, `_ordinal` FROM {{.Changes}}
        WHERE `_chunk` IN {pieces:Array(UInt64)} AND `_live` AND {{tuple .Key}} IN (SELECT {{sources .Key}} FROM {{.Changes}} WHERE `_chunk` = {from:UInt64})
        UNION ALL
        SELECT {{columns .Columns}}, 0, 0 FROM {{.Chunks}}
        WHERE indexHint(`_chunk` IN {here:Array(UInt64)}) AND {{tuple .Key}} IN (SELECT {{sources .Key}} FROM {{.Changes}} WHERE `_chunk` = {from:UInt64})
        UNION ALL
        SELECT {{columns .Columns}}, 0, 0 FROM {{.Chunks}}
        WHERE indexHint(`_chunk` IN {historic:Array(UInt64)}) AND {{tuple .Key}} IN (SELECT {{sources .Key}} FROM {{.Changes}} WHERE `_chunk` = {from:UInt64})
            AND (`_chunk`, {{idents .Key}}) NOT IN
            (
                SELECT `_of`, {{idents .Key}} FROM {{.Masks}}
                WHERE `_chunk` IN {masks:Array(UInt64)} AND {{tuple .Key}} IN (SELECT {{sources .Key}} FROM {{.Changes}} WHERE `_chunk` = {from:UInt64})
            )
    )
    ORDER BY `_lsn` DESC, `_ordinal` DESC
    LIMIT 1 BY {{idents .Key}}
) AS `_older` ON {{equalSource "`_changes`" "`_older`" .Key}}
WHERE `_changes`.`_chunk` = {from:UInt64}
