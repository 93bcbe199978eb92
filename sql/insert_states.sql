INSERT INTO {{.To}} ({{columns .StoredColumns}}, `_chunk`)
SELECT {{.Compute}}, {chunk:UInt64} FROM {{.Table.Rows .From "indexHint(`_chunk` = {chunk:UInt64})"}}
{{- if .Where}}
    AND ({{.Where}})
{{- end}}
{{- if .Keys}}
GROUP BY {{.KeyAliases}}
{{- end}}
