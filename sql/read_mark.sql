SELECT `format`, `term`, `epoch`, `lsn`, toUnixTimestamp64Micro(`commit_time`), toUnixTimestamp64Micro(`written_at`),
    `source`.1, `source`.2, `source`.3, `source`.4,
    toJSONString(`tables`), toJSONString(`chunks`), toJSONString(`aggregates`), toJSONString(`states`), `loads`
FROM {{.SplitDate}}
ORDER BY `term` DESC, `epoch` DESC
LIMIT 1
