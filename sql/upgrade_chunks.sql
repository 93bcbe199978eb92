INSERT INTO {{.Chunks}} ({{idents .Stored}}, `_chunk`)
SELECT {{idents .Stored}}, {{.Number}} FROM {{.From}} WHERE indexHint(`_chunk` IN {chunks:Array(UInt64)})