INSERT INTO {{.Shapes}} (`shape`, `table`, `columns`)
SELECT {shape:UInt64}, {table:String}, unhex({columns:String})
