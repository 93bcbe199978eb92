INSERT INTO {{.Chunks}} ({{idents .Stored}}, `_chunk`)
SELECT {{idents .Stored}}, {to:UInt64} FROM {{.Chunks}}
WHERE indexHint(`_chunk` IN {from:Array(UInt64)}) AND NOT {{.Side}}
