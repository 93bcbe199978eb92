INSERT INTO {{.Masks}} (`_chunk`, `_of`, {{idents .Key}})
SELECT {to:UInt64}, `_of`, {{idents .Key}} FROM {{.Masks}} WHERE `_chunk` IN {from:Array(UInt64)}
