{{- range $i, $a := .}}{{if $i}}
UNION ALL
{{end -}}
SELECT {{literal $a.Name}} AS `aggregate`, `_chunk`, count() FROM {{$a.Chunks}} WHERE `_chunk` IN {chunks:Array(UInt64)} GROUP BY `_chunk`
{{- end}}
