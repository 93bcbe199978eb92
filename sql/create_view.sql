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
SELECT {{shown .Columns}} FROM {{.Historic}}
WHERE indexHint(`_chunk` IN {{state}}.clean)
{{- if not .Keyless}}
UNION ALL
{{withMark}}
SELECT {{shown .Columns}} FROM {{.Historic}}
WHERE notEmpty({{state}}.dirty) AND indexHint(`_chunk` IN {{state}}.dirty)
    AND (`_chunk`, {{hidden .Key}}) NOT IN
    (
        SELECT `_of`, {{idents .Key}} FROM {{.Masks}} WHERE `_chunk` IN {{state}}.masks
        UNION ALL
        SELECT toUInt64(`_outlived`), {{guarded .KeyColumns}}
        FROM
        (
            SELECT throwIf(uniqExact(`_chunk`) != length({{state}}.masks), {{literal .Outlived}}) AS `_outlived`
            FROM {{.Masks}} WHERE `_chunk` IN {{state}}.masks
        )
        WHERE `_outlived` = 1
    )
{{- end}}
{{- if not .Mirrored}}
UNION ALL
{{withMark}}
SELECT {{shown .Columns}} FROM {{.Late}}
WHERE notEmpty({{state}}.late) AND indexHint(`_chunk` IN {{state}}.late)
{{- end}}
UNION ALL
{{withMark}}
SELECT {{shown .Columns}} FROM {{.RT}}
WHERE indexHint(`_chunk` IN {{state}}.rt)
UNION ALL
{{withMark}}
SELECT {{guarded .Columns}}
FROM
(
    SELECT throwIf(sum(n) != {{state}}.rows, {{literal .Outlived}}) AS `_outlived`
    FROM
    (
        SELECT count() AS n FROM {{.Historic}} WHERE `_chunk` IN {{if .Keyless}}{{state}}.clean{{else}}arrayConcat({{state}}.clean, {{state}}.dirty){{end}}
        UNION ALL
{{- if not .Keyless}}
        SELECT count() AS n FROM {{.Masks}} WHERE notEmpty({{state}}.masks) AND `_chunk` IN {{state}}.masks
        UNION ALL
{{- end}}
{{- if not .Mirrored}}
        SELECT count() AS n FROM {{.Late}} WHERE notEmpty({{state}}.late) AND `_chunk` IN {{state}}.late
        UNION ALL
{{- end}}
        SELECT count() AS n FROM {{.RT}} WHERE `_chunk` IN {{state}}.rt
    )
)
WHERE `_outlived` = 1
COMMENT {{literal .Comment}}
