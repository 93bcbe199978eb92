CREATE TABLE IF NOT EXISTS {{.To}}
(
{{- range .StoredColumns}}
    {{ident .Name}} {{.Type.Name}},
{{- end}}
    `_chunk` UInt64
)
ENGINE = MergeTree
PARTITION BY `_chunk`
ORDER BY {{sortingKey .KeyNames}}
SETTINGS {{durable}}, allow_nullable_key = 1
COMMENT {{literal .Comment}}
