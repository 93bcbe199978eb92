SELECT `table`, `partition_id`, sum(`bytes_on_disk`)
FROM system.parts
WHERE `database` = {database:String} AND `active`
GROUP BY `table`, `partition_id`
ORDER BY `table`, `partition_id`
