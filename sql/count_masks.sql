SELECT `_of`, count() FROM {{.Masks}} WHERE `_chunk` IN {chunks:Array(UInt64)} GROUP BY `_of` ORDER BY `_of`
