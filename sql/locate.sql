SELECT 'new_rt', toUInt64(0), countIf({{.Side}}) FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND `_live`
UNION ALL
SELECT 'new_late', toUInt64(0), countIf(NOT {{.Side}}) FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND `_live`
UNION ALL
SELECT 'rt', `_chunk`, count() FROM {{.RT}}
WHERE indexHint(`_chunk` IN {rt:Array(UInt64)})
    AND {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
GROUP BY `_chunk`
UNION ALL
SELECT 'late', `_chunk`, count() FROM {{.Late}}
WHERE indexHint(`_chunk` IN {late:Array(UInt64)})
    AND {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
GROUP BY `_chunk`
