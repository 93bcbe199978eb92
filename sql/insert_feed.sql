INSERT INTO {{.FeedTable}} ({{columns .Columns}}, `_op`, `_lsn`, `_ordinal`, `_time`, `_term`, `_epoch`)
SELECT {{columns .Columns}}, `_op`, `_lsn`, `_ordinal`, `_time`, {term:UInt64}, {epoch:UInt64}
FROM {{.Changes}}
WHERE `_chunk` IN {pieces:Array(UInt64)}
