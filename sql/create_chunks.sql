CREATE TABLE IF NOT EXISTS {{.Name}}
(
{{- range .Columns}}
    {{ident .Name}} {{.Type.Name}}{{with .Codec}} CODEC({{.}}){{end}},
{{- end}}
    `_chunk` UInt64
{{- if .KeyIndex}},
    INDEX `_range` {{exprs .Key}} TYPE minmax GRANULARITY 64,
    INDEX `_key` {{exprs .Key}} TYPE bloom_filter GRANULARITY 1
{{- end}}
)
ENGINE = MergeTree
PARTITION BY {{.PartitionBy}}
ORDER BY {{tuple .OrderBy}}
SETTINGS {{durable}}, {{merged}}, allow_nullable_key = 1
COMMENT {{literal .Comment}}
