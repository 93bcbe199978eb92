CHECK GRANT {{.Privilege}} ON {{ident .Database}}.{{if .Table}}{{ident .Table}}{{else}}*{{end}}
