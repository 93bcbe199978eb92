SELECT toUnixTimestamp64Micro(now64(6)), toUnixTimestamp64Micro(now64(6)) - toInt64(ifNull(max(`elapsed`), 0) * 1000000)
FROM system.processes
WHERE NOT startsWith(`query_id`, {prefix:String})
