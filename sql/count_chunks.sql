SELECT `_chunk`, count(), {{.From}}, {{.To}}
FROM {{.Name}}
WHERE `_chunk` IN {chunks:Array(UInt64)}
GROUP BY `_chunk`
ORDER BY `_chunk`
