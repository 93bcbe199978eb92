INSERT INTO {{.Masks}} (`_chunk`, `_of`, {{idents .Key}})
SELECT {to:UInt64}, `_of`, {{idents .Key}} FROM {{.Masks}}
WHERE `_chunk` IN {masks:Array(UInt64)} AND `_of` NOT IN {from:Array(UInt64)}
UNION ALL
SELECT {to:UInt64}, `_chunk`, {{idents .Key}} FROM {{.Chunks}}
WHERE indexHint(`_chunk` IN {built:Array(UInt64)})
    AND {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {journal:Array(UInt64)})
