SELECT `table`, `since`, `until`, toUnixTimestamp64Micro(`at`), `differences`
FROM {{.Verified}} FINAL
ORDER BY `table`, `since`
