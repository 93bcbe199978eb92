INSERT INTO {{.Historic}} ({{columns .StoredColumns}}, `_chunk`)
SELECT {{.Merge}}, {to:UInt64}
FROM
(
    SELECT {{.Read}} FROM {{.Historic}}
    WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
)
{{- if .Keys}}
GROUP BY {{.KeyAliases}}
{{- end}}
SETTINGS max_threads = 1
