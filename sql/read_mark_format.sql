SELECT `format` FROM {{.SplitDate}} ORDER BY `term` DESC, `epoch` DESC LIMIT 1
