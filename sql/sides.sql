    SELECT 0 AS `_loaded`, {{.Identity}} AS `_identity`, cityHash64(tuple({{columns .Columns}})) AS `_hash` FROM {{.Chunks}}
    WHERE indexHint(`_chunk` IN {historic:Array(UInt64)}) AND {{.Leaves}} AND {{.Unchanged}}
{{- if not .Keyless}}
        AND (`_chunk`, {{hidden .Key}}) NOT IN (SELECT `_of`, {{idents .Key}} FROM {{.Masks}} WHERE `_chunk` IN {masks:Array(UInt64)})
{{- end}}
    UNION ALL
    SELECT 0 AS `_loaded`, {{.Identity}} AS `_identity`, cityHash64(tuple({{columns .Columns}})) AS `_hash` FROM {{.Chunks}}
    WHERE indexHint(`_chunk` IN {late:Array(UInt64)}) AND {{.Leaves}} AND {{.Unchanged}}
    UNION ALL
    SELECT 0 AS `_loaded`, {{.Identity}} AS `_identity`, cityHash64(tuple({{columns .Columns}})) AS `_hash` FROM {{.Chunks}}
    WHERE indexHint(`_chunk` IN {rt:Array(UInt64)}) AND {{.InRange}} AND {{.Unchanged}}
    UNION ALL
    SELECT 1 AS `_loaded`, {{.Identity}} AS `_identity`, cityHash64(tuple({{columns .Columns}})) AS `_hash` FROM {{.Chunks}}
    WHERE indexHint(`_chunk` IN {loaded_historic:Array(UInt64)}) AND {{.Unchanged}}
    UNION ALL
    SELECT 1 AS `_loaded`, {{.Identity}} AS `_identity`, cityHash64(tuple({{columns .Columns}})) AS `_hash` FROM {{.Chunks}}
    WHERE indexHint(`_chunk` IN {loaded_rt:Array(UInt64)}) AND {{.Unchanged}}
