SELECT 'new_rt' AS `where`, toUInt64(0) AS `chunk`, countIf({{.Side}}) AS `n` FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND `_live`
UNION ALL
SELECT 'new_late' AS `where`, toUInt64(0) AS `chunk`, countIf(NOT {{.Side}}) AS `n` FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND `_live`
UNION ALL
SELECT 'rt' AS `where`, `_chunk` AS `chunk`, count() AS `n` FROM {{.RT}}
WHERE indexHint(`_chunk` IN {rt:Array(UInt64)})
    AND {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
GROUP BY `_chunk`
UNION ALL
SELECT 'late' AS `where`, `_chunk` AS `chunk`, count() AS `n` FROM {{.Late}}
WHERE indexHint(`_chunk` IN {late:Array(UInt64)})
    AND {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
GROUP BY `_chunk`
