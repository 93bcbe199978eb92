SELECT `name`, `engine` FROM system.tables
WHERE `database` = {database:String} AND has({names:Array(String)}, `name`) AND NOT startsWith(`comment`, 'tidemark: ')
ORDER BY `name`
