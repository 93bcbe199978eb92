CREATE TABLE IF NOT EXISTS {{.To}}
(
{{- range $i, $c := .StoredColumns}}
    {{ident $c.Name}} {{$c.Type.Name}}{{if eq $i 0}}{{$.FirstCodec}}{{end}},
{{- end}}
    `_chunk` UInt64
)
ENGINE = MergeTree
PARTITION BY `_chunk`
ORDER BY {{sortingKey .KeyNames}}
SETTINGS {{durable}}, {{merged}}, allow_nullable_key = 1
COMMENT {{literal .Comment}}
