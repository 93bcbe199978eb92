INSERT INTO {{.Chunks}} ({{idents .Stored}}, `_chunk`)
SELECT {{idents .Stored}}, transform({{.PeriodNumber}}, {periods:Array(Int64)}, {to:Array(UInt64)}, toUInt64(0))
FROM
(
    SELECT {{idents .Stored}} FROM {{.Chunks}}
    WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
        AND (`_chunk`, {{hidden .Key}}) NOT IN (SELECT `_of`, {{idents .Key}} FROM {{.Masks}} WHERE `_chunk` IN {masks:Array(UInt64)})
{{- if .Rest}}
        AND NOT {{.Leaves}}
{{- end}}
    UNION ALL
    SELECT {{idents .Stored}} FROM {{.Chunks}}
    WHERE indexHint(`_chunk` IN {late:Array(UInt64)})
)
SETTINGS max_threads = 1
