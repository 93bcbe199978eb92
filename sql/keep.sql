INSERT INTO {{.RT}} ({{idents .Stored}}, `_chunk`)
SELECT {{idents .Stored}}, {to:UInt64} FROM {{.RT}}
WHERE indexHint(`_chunk` IN {from:Array(UInt64)}) AND {{.Side}}
