CREATE OR REPLACE VIEW {{.FeedView}}
(
    `_op` String,
    `_epoch` UInt64,
    `_lsn` String,
    `_position` UInt64,
    `_ordinal` UInt64,
    `_commit_time` DateTime64(6, 'UTC')
{{- range .Columns}},
    {{ident .Shown}} {{.Type.Name}}
{{- end}}
)
SQL SECURITY INVOKER
AS
{{withMark}}
SELECT transform(`_code`, [68, 73, 76, 84, 85], ['delete', 'insert', 'load', 'truncate', 'update'], '') AS `_op`, `_epoch`,
    {{lsnText "`_position`"}} AS `_lsn`, `_position`, `_ordinal`, `_time` AS `_commit_time`{{range .Columns}}, {{ident .Shown}}{{end}}
FROM
(
    SELECT {{shown .Columns}}, `_op` AS `_code`, `_lsn` AS `_position`, `_ordinal`, `_time`, `_epoch` FROM {{.FeedTable}}
    WHERE (`_term`, `_epoch`) <= ({{mark}}.1, {{mark}}.2)
        AND (`_term`, `_epoch`) IN (SELECT `term`, `epoch` FROM {{.Database.SplitDate}} UNION ALL SELECT `term`, `epoch` FROM {{.Database.SplitDateLog}})
)
COMMENT {{literal (print "tidemark: what changed in " .Source ", by mark, up to the one that the other views show")}}
