INSERT INTO {{.Name}}({{idents .Stored}}, `_chunk`)
