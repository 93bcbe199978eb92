SELECT count(), sum(cityHash64(tuple({{idents .Stored}}))) FROM {{.Name}}
WHERE indexHint(`_chunk` IN {chunks:Array(UInt64)}) AND {{.Where}}
