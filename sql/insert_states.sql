INSERT INTO {{.Chunks}} ({{columns .StoredColumns}}, `_chunk`)
SELECT {{.Compute}}, {chunk:UInt64} FROM {{.Table.Rows .Table.Chunks "indexHint(`_chunk` = {chunk:UInt64})"}}
{{- if .Where}}
    AND ({{.Where}})
{{- end}}
{{- if .Keys}}
GROUP BY {{.KeyAliases}}
{{- end}}
