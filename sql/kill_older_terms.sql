KILL QUERY WHERE startsWith(`query_id`, {prefix:String}) AND NOT startsWith(`query_id`, {current:String}) SYNC
