INSERT INTO {{.Masks}} (`_chunk`, `_of`, {{idents .Key}})
SELECT {to:UInt64}, `_chunk`, {{idents .Key}} FROM {{.Chunks}}
WHERE indexHint(`_chunk` IN {historic:Array(UInt64)})
    AND {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
    AND (`_chunk`, {{idents .Key}}) NOT IN
    (
        SELECT `_of`, {{idents .Key}} FROM {{.Masks}}
        WHERE `_chunk` IN {masks:Array(UInt64)}
            AND {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
    )
