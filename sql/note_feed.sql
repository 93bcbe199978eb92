INSERT INTO {{.FeedTable}} (`_op`, `_lsn`, `_ordinal`, `_time`, `_term`, `_epoch`)
SELECT {op:UInt8}, {lsn:UInt64}, 0, fromUnixTimestamp64Micro({time:Int64}, 'UTC'), {term:UInt64}, {epoch:UInt64}
