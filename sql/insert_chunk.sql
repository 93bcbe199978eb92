INSERT INTO {{.Chunks}}({{idents .Stored}}, `_chunk`)
