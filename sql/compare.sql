SELECT countIf(`_loaded` = 0), countIf(`_loaded` = 1), sumIf(`_hash`, `_loaded` = 0), sumIf(`_hash`, `_loaded` = 1)
FROM
(
{{template "sides.sql" .}}
)
