CREATE TABLE IF NOT EXISTS {{.FeedTable}}
(
{{- range .Columns}}
    {{ident .Name}} {{.Type.Name}},
{{- end}}
    `_op` UInt8,
    `_lsn` UInt64,
    `_ordinal` UInt64,
    `_time` DateTime64(6, 'UTC'),
    `_term` UInt64,
    `_epoch` UInt64
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(`_time`)
ORDER BY (`_epoch`, `_lsn`, `_ordinal`, `_op`)
SETTINGS {{durable}}
COMMENT {{literal (print "tidemark: the changes of " .Source " by mark; those of no mark do not count; query the view instead")}}
