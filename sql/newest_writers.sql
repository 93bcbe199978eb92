SELECT `term`, groupArray(`writer`) FROM {{.Writers}} GROUP BY `term` ORDER BY `term` DESC LIMIT 1
