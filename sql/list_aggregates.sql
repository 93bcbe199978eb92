SELECT `database`, `name` FROM system.tables
WHERE `database` IN ({views:String}, {internals:String}) AND startsWith(`comment`, {prefix:String})
ORDER BY `database`, `name`
