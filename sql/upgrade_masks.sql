INSERT INTO {{.Masks}} (`_chunk`, `_of`, {{idents .Key}})
SELECT {to:UInt64}, {{settled "_of"}}, {{idents .Key}} FROM {{.Masks}} WHERE `_chunk` IN {masks:Array(UInt64)}