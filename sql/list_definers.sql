SELECT `database`, `name`
FROM system.tables
WHERE `engine` = 'View'
    AND position(`create_table_query`, 'SQL SECURITY DEFINER') > 0
    AND position(`as_select`, {database:String}) > 0
ORDER BY `database`, `name`
