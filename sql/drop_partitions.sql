ALTER TABLE {{.Name}} {{range $i, $p := .Partitions}}{{if $i}}, {{end}}DROP PARTITION ID {{literal $p}}{{end}}
