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
    SELECT {{.Read}} FROM {{.Chunks}}
    WHERE indexHint(`_chunk` IN arrayConcat({{aggregate}}.historic, {{state}}.late, {{state}}.rt))
{{- if not .Table.Keyless}}
    UNION ALL
    SELECT {{.Compute}} FROM {{.Table.Rows .Table.Chunks (print "notEmpty(" state ".dirty) AND indexHint(`_chunk` IN " state ".dirty)\n        AND (`_chunk`, " (hidden .Table.Key) ") NOT IN (SELECT `_of`, " (idents .Table.Key) " FROM " .Table.Masks " WHERE `_chunk` IN " state ".masks\n            AND 1 NOT IN (SELECT throwIf(count() != " masked ", " (literal .Outlived) ") FROM " .Table.Masks " WHERE `_chunk` IN " state ".masks))")}}
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
        SELECT count() AS n FROM {{.Chunks}} WHERE `_chunk` IN arrayConcat({{aggregate}}.historic, {{state}}.late, {{state}}.rt)
{{- if not .Table.Keyless}}
        UNION ALL
        SELECT count() AS n FROM {{.Table.Chunks}} WHERE notEmpty({{state}}.dirty) AND `_chunk` IN {{state}}.dirty
{{- end}}
    )
)
COMMENT {{literal .Comment}}