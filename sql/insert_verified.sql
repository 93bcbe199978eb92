INSERT INTO {{.Verified}} (`table`, `since`, `until`, `lsn`, `rows`, `differences`)
SELECT {table:String}, {since:Int64}, {until:Int64}, {lsn:UInt64}, {rows:UInt64}, {differences:UInt64}
