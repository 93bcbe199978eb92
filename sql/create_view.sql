CREATE OR REPLACE VIEW {{.View}}
(
{{- range $i, $c := .Columns}}{{if $i}},{{end}}
    {{ident $c.Shown}} {{$c.Type.Name}}
{{- end}}
)
SQL SECURITY INVOKER
AS
{{withMark}}
SELECT {{defaults .Columns}} FROM system.one
WHERE throwIf(NOT mapContains({{tables}}, {{literal .Name}}), {{literal .NotYet}})
    OR throwIf({{mark}}.3 <= {{.Since}} OR {{state}}.narrowed > {{.Narrowed}} AND {{mark}}.3 > {{state}}.narrowed, {{literal .Changed}})
    OR throwIf(NOT getSetting('use_partition_pruning'), {{literal .NoPruning}})
UNION ALL
{{withMark}}
SELECT {{shown .Columns}} FROM {{.Chunks}}
WHERE indexHint(`_chunk` IN arrayConcat({{state}}.clean, {{state}}.late, {{state}}.rt))
{{- if not .Keyless}}
UNION ALL
{{withMark}}
SELECT {{shown .Columns}} FROM {{.Chunks}}
WHERE notEmpty({{state}}.dirty) AND indexHint(`_chunk` IN {{state}}.dirty)
    AND (`_chunk`, {{hidden .Key}}) NOT IN
    (
        SELECT `_of`, {{idents .Key}} FROM {{.Masks}}
        WHERE `_chunk` IN {{state}}.masks
{{- /* A set is made before what it filters, even where that is nothing: no dead row comes while a mask is missing. */}}
            AND 1 NOT IN (SELECT throwIf(count() != {{masked}}, {{literal .Outlived}}) FROM {{.Masks}} WHERE `_chunk` IN {{state}}.masks)
    )
{{- end}}
UNION ALL
{{withMark}}
SELECT {{guarded .Columns}}
FROM
(
    SELECT throwIf(count() != {{state}}.rows, {{literal .Outlived}}) AS `_outlived`
    FROM {{.Chunks}} WHERE `_chunk` IN arrayConcat({{state}}.clean, {{state}}.dirty, {{state}}.late, {{state}}.rt)
)
WHERE `_outlived` = 1
COMMENT {{literal .Comment}}