INSERT INTO {{.Chunks}} ({{idents .Stored}}, `_chunk`){{.NoFilter}}
SELECT {{idents .Stored}}, {{if .Mirrored}}{to:UInt64}{{else}}if(ifNull({{.Instant}} >= {far:Int64}, 1), {apart:UInt64}, {to:UInt64}){{end}} FROM {{.Chunks}}
WHERE indexHint(`_chunk` IN {from:Array(UInt64)}) AND {{.Side}}
