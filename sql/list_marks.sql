SELECT `epoch`, toUnixTimestamp64Micro(now64(6)), toJSONString(`chunks`)
FROM {{.SplitDate}}
ORDER BY `epoch`
