INSERT INTO {{.Chunks}} ({{columns .StoredColumns}}, `_chunk`)
SELECT {{.Merge}}, {to:UInt64}
FROM
(
    SELECT {{.Read}} FROM {{.Chunks}}
    WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
)
{{- if .Keys}}
GROUP BY {{.KeyAliases}}
{{- end}}
SETTINGS max_threads = 1
