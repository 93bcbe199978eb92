SELECT count() FROM {{.Changes}} AS `_changes` WHERE `_chunk` = {piece:UInt64}{{if .Retains}} AND {{.Retained}}{{end}}
