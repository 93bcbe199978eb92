SELECT uniq(cityHash64({{if .Keys}}tuple({{idents .KeyNames}}){{else}}0{{end}})) FROM {{.Chunks}} WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
