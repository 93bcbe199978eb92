KILL QUERY WHERE startsWith(`query_id`, {prefix:String}) AND NOT startsWith(`query_id`, {current:String}) AND NOT endsWith(`query`, 'FORMAT Native') SYNC
