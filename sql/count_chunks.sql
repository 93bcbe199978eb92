SELECT `_chunk`, count(), {{.From}}, {{.To}}
FROM {{.Chunks}}
WHERE `_chunk` IN {chunks:Array(UInt64)}
GROUP BY `_chunk`
ORDER BY `_chunk`
