CREATE TABLE IF NOT EXISTS {{.Changes}}
(
{{- range .Columns}}
    {{ident .Name}} {{.Type.Name}},
{{- end}}
    `_chunk` UInt64,
    `_lsn` UInt64,
    `_ordinal` UInt64,
    `_insert` UInt8,
    `_live` UInt8,
    `_op` UInt8,
    `_time` DateTime64(6, 'UTC'),
    `_unchanged` Array(UInt16)
{{- range $i, $c := .KeyColumns}},
    {{source $i}} {{$c.Type.Name}}
{{- end}}
)
ENGINE = MergeTree
PARTITION BY `_chunk`
ORDER BY {{if .Keyless}}tuple(){{else}}cityHash64({{idents .Key}}){{end}}
SETTINGS {{durable}}, {{oneFile}}
COMMENT {{literal (print "tidemark: the changes of the tick under way to " .Source)}}
