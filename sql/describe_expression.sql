DESCRIBE TABLE
(
    SELECT {{.Select}}
    FROM
    (
        SELECT {{.Row}}
        FROM (SELECT arrayJoin(CAST([], {{literal .RowsType}})) AS `_row`)
    )
{{- if .Where}}
    WHERE ({{.Where}})
{{- end}}
{{- if .GroupBy}}
    GROUP BY {{.GroupBy}}
{{- end}}
)
