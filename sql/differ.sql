SELECT `_identity`, countIf(`_loaded` = 0) AS `_here`, countIf(`_loaded` = 1) AS `_there`
FROM
(
{{template "sides.sql" .}}
)
GROUP BY `_identity`
HAVING `_here` != `_there` OR uniqExact(`_hash`) > 1
ORDER BY `_identity`
LIMIT {limit:UInt64}
