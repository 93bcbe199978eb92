{{withMark}}
SELECT
    (SELECT count() FROM {{.Chunks}} WHERE `_chunk` IN {{state}}.rt AND NOT {{.Side}}) AS `rt_before_split`,
    (SELECT count() FROM {{.Chunks}} WHERE `_chunk` IN arrayConcat({{state}}.clean, {{state}}.dirty) AND {{.SettledSide}}) AS `historic_after_split`,
    (SELECT count() FROM {{.Chunks}} WHERE `_chunk` IN {{state}}.late AND {{.SettledSide}}) AS `late_after_split`,
    (SELECT count() FROM
    (
        SELECT 1 FROM
        (
            SELECT {{idents .Key}} FROM {{.Chunks}}
            WHERE `_chunk` IN arrayConcat({{state}}.clean, {{state}}.dirty)
                AND (`_chunk`, {{idents .Key}}) NOT IN (SELECT `_of`, {{idents .Key}} FROM {{.Masks}} WHERE `_chunk` IN {{state}}.masks)
            UNION ALL SELECT {{idents .Key}} FROM {{.Chunks}} WHERE `_chunk` IN arrayConcat({{state}}.late, {{state}}.rt)
        )
        GROUP BY {{idents .Key}}
        HAVING count() > 1
    )) AS `live_twice`,
    (SELECT count() FROM
    (
        SELECT `_of`, {{idents .Key}} FROM {{.Masks}} WHERE `_chunk` IN {{state}}.masks
        GROUP BY `_of`, {{idents .Key}} HAVING count() > 1
    )) AS `masked_twice`,
    (SELECT count() FROM {{.Masks}}
        WHERE `_chunk` IN {{state}}.masks
            AND (`_of`, {{idents .Key}}) NOT IN (SELECT `_chunk`, {{idents .Key}} FROM {{.Chunks}} WHERE `_chunk` IN {{state}}.dirty)) AS `masks_of_nothing`,
    toInt64({{state}}.rows)
        - (SELECT count() FROM {{.Chunks}} WHERE `_chunk` IN arrayConcat({{state}}.clean, {{state}}.dirty, {{state}}.late, {{state}}.rt)) AS `rows_missing`