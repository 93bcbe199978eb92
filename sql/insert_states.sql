INSERT INTO {{.To}} ({{columns .StoredColumns}}, `_chunk`)
SELECT {{.Compute}}, {chunk:UInt64} FROM {{.From}}
WHERE indexHint(`_chunk` = {chunk:UInt64})
{{- if .Where}}
    AND ({{.Where}})
{{- end}}
{{- if .Keys}}
GROUP BY {{.KeyAliases}}
{{- end}}
