SELECT count(), sum(cityHash64(tuple({{idents .Stored}}))) FROM {{.Chunks}}
WHERE indexHint(`_chunk` IN {chunks:Array(UInt64)}) AND {{.Where}}
