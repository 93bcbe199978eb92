CREATE TABLE IF NOT EXISTS {{.Masks}}
(
    `_chunk` UInt64,
    `_of` UInt64
{{- range .KeyColumns}},
    {{ident .Name}} {{.Type.Name}}
{{- end}}
)
ENGINE = MergeTree
PARTITION BY `_chunk`
ORDER BY (`_of`, {{idents .Key}})
SETTINGS {{durable}}
COMMENT {{literal (print "tidemark: the dead rows (_of, key) of HISTORIC chunks of " .Source)}}
