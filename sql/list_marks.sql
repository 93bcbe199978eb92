SELECT `epoch`, toUnixTimestamp64Micro(now64(6)), toJSONString(`chunks`), toJSONString(`states`)
FROM {{.SplitDate}}
ORDER BY `epoch`
