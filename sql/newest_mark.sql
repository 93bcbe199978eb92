SELECT `term`, `epoch`, toUnixTimestamp64Micro(now64(6)) FROM {{.SplitDate}} ORDER BY `term` DESC, `epoch` DESC LIMIT 1
