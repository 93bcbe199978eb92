INSERT INTO {{.Chunks}} ({{idents .Stored}}, `_chunk`){{.NoFilter}}
SELECT {{idents .Stored}}, {to:UInt64} FROM {{.Chunks}}
WHERE indexHint(`_chunk` IN {from:Array(UInt64)}) AND NOT ({{.Leaves}} AND {{.Unchanged}})
UNION ALL
SELECT {{idents .Stored}}, {to:UInt64} FROM {{.Chunks}}
WHERE indexHint(`_chunk` IN {loaded:Array(UInt64)}) AND {{.Unchanged}}
