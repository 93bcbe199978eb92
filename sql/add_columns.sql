ALTER TABLE {{.Name}}
{{- range $i, $c := .Added}}{{if $i}},{{end}}
    ADD COLUMN IF NOT EXISTS {{ident $c.Name}} {{$c.Type.Name}}{{with $c.Default}} DEFAULT {{.}}{{end}}{{with $c.Codec}} CODEC({{.}}){{end}}
{{- end}}
