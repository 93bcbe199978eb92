SELECT count() FROM {{.Changes}} WHERE `_chunk` IN {pieces:Array(UInt64)} AND NOT `_insert`
