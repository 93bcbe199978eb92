CREATE VIEW IF NOT EXISTS {{.Name}}
SQL SECURITY INVOKER
AS
{{withMark}}
SELECT {{columns .Columns}}, `_chunk` FROM {{.From}}
WHERE `_chunk` IN arrayConcat({{range $i, $l := .Lists}}{{if $i}}, {{end}}{{if eq $l "merged"}}{{aggregate}}.historic{{else}}{{state}}.{{$l}}{{end}}{{end}})
COMMENT {{literal .Comment}}