CREATE OR REPLACE VIEW {{.View}}
(
{{- range $i, $c := .Columns}}{{if $i}},{{end}}
    {{ident $c.Shown}} {{$c.Type.Name}}
{{- end}}
)
SQL SECURITY INVOKER
AS
SELECT {{defaults .Columns}} FROM system.one
WHERE throwIf(dummy = 0, {{literal .NotYet}})
COMMENT {{literal .Comment}}
