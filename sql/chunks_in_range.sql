SELECT DISTINCT `_chunk` FROM {{.Historic}} WHERE indexHint(`_chunk` IN {historic:Array(UInt64)}) AND {{.InRange}} ORDER BY `_chunk`
