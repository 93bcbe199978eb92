INSERT INTO {{.Chunks}} ({{idents .Stored}}, `_chunk`){{.NoFilter}}
SELECT {{idents .Stored}}, {to:UInt64} FROM {{.Chunks}}
WHERE indexHint(`_chunk` IN {from:Array(UInt64)})
    AND
    (
        {{tuple .Key}} NOT IN (SELECT {{idents .Key}} FROM {{.Chunks}} WHERE `_chunk` IN {frozen:Array(UInt64)})
        OR {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {journal:Array(UInt64)})
    )
