SELECT count()
FROM
(
    SELECT `epoch` AS n FROM {{.SplitDateCurrent}}
{{- range .Views}}
    UNION ALL
    SELECT count() AS n FROM {{.}}
{{- end}}
)
WHERE n < 0
