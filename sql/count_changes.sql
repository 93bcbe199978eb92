SELECT count() FROM {{.Changes}} WHERE `_chunk` = {piece:UInt64}
