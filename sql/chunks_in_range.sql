SELECT DISTINCT `_chunk` FROM {{.Chunks}} WHERE indexHint(`_chunk` IN {historic:Array(UInt64)}) AND {{.InRange}} ORDER BY `_chunk`
