SELECT if({{.Side}}, 'new_rt', 'new_late') AS `_side`, toUInt64(0), count() FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND `_live` GROUP BY `_side`
UNION ALL
SELECT 'here', `_chunk`, count() FROM {{.Chunks}}
WHERE indexHint(`_chunk` IN {here:Array(UInt64)})
    AND {{tuple .Key}} IN (SELECT {{idents .Key}} FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`)
GROUP BY `_chunk`