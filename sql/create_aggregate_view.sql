CREATE OR REPLACE VIEW {{.View}}
(
{{- range $i, $c := .Columns}}{{if $i}},{{end}}
    {{ident $c.Name}} {{$c.Type.Name}}
{{- end}}
)
SQL SECURITY INVOKER
AS
{{withMark}}
SELECT {{defaults .Columns}} FROM system.one
WHERE throwIf({{aggregate}}.definition != {{literal .Definition}}, {{literal .NotYet}})
    OR throwIf(NOT getSetting('use_partition_pruning'), {{literal .NoPruning}})
UNION ALL
{{withMark}}
SELECT {{.Results}}
FROM
(
    SELECT {{.Read}} FROM {{.Historic}}
    WHERE indexHint(`_chunk` IN {{aggregate}}.historic)
    UNION ALL
    SELECT {{.Read}} FROM {{.RT}}
    WHERE indexHint(`_chunk` IN arrayConcat({{state}}.rt, {{state}}.late))
{{- if not .Table.Keyless}}
    UNION ALL
    SELECT {{.Compute}} FROM {{.Table.Rows .Table.Historic (print "notEmpty(" state ".dirty) AND indexHint(`_chunk` IN " state ".dirty)\n        AND (`_chunk`, " (hidden .Table.Key) ") NOT IN (SELECT `_of`, " (idents .Table.Key) " FROM " .Table.Masks " WHERE `_chunk` IN " state ".masks)")}}
{{- if .Where}}
        AND ({{.Where}})
{{- end}}
{{- if .Keys}}
    GROUP BY {{.KeyAliases}}
{{- end}}
{{- end}}
)
{{- if .Keys}}
GROUP BY {{.KeyAliases}}
{{- end}}
{{- /* A set is made before what it filters: the guard throws before the first group, and a LIMIT cannot end the query sooner. */}}
HAVING 1 NOT IN
(
    SELECT throwIf(sum(n) != {{aggregate}}.rows, {{literal .Outlived}})
    FROM
    (
        SELECT count() AS n FROM {{.Historic}} WHERE `_chunk` IN {{aggregate}}.historic
        UNION ALL
        SELECT count() AS n FROM {{.RT}} WHERE `_chunk` IN arrayConcat({{state}}.rt, {{state}}.late)
{{- if not .Table.Keyless}}
        UNION ALL
        SELECT count() AS n FROM {{.Table.Historic}} WHERE notEmpty({{state}}.dirty) AND `_chunk` IN {{state}}.dirty
        UNION ALL
        SELECT count() AS n FROM {{.Table.Masks}} WHERE notEmpty({{state}}.masks) AND `_chunk` IN {{state}}.masks
{{- end}}
    )
)
COMMENT {{literal .Comment}}
