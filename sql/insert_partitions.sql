INSERT INTO {{.Partitions}} (`table`, `leaves`) SELECT {table:String}, {leaves:String}
