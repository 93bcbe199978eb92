INSERT INTO {{.Chunks}} ({{idents .Stored}}, `_chunk`){{.Settings}}
SELECT {{idents .Stored}}, {to:UInt64} FROM {{.Chunks}}
WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
    AND {{tuple .Key}} NOT IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
{{- if .Side}}
UNION ALL
SELECT {{idents .Stored}}, {fresh:UInt64} FROM {{.Changes}}
WHERE `_chunk` IN {pieces:Array(UInt64)} AND `_live` AND {{.Side}}
{{- end}}
