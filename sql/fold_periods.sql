SELECT DISTINCT {{.PeriodNumber}} FROM {{.Chunks}} WHERE indexHint(`_chunk` IN {from:Array(UInt64)}){{if .Rest}} AND NOT {{.Leaves}}{{end}}
UNION DISTINCT
SELECT DISTINCT {{.PeriodNumber}} FROM {{.Chunks}} WHERE indexHint(`_chunk` IN {late:Array(UInt64)})
