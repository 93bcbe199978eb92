INSERT INTO {{.SplitDate}} (`format`, `term`, `epoch`, `lsn`, `commit_time`, `source`, `tables`, `chunks`, `aggregates`, `states`, `loads`, `masked`)
SELECT
    {format:UInt16}, {term:UInt64}, {epoch:UInt64}, {lsn:UInt64},
    fromUnixTimestamp64Micro({commit_time:Int64}, 'UTC'),
    {source:Tuple(String, Int32, String, String)},
    {tables:Map(String, {{tableType}})},
    {chunks:Map(String, {{chunksType}})},
    {aggregates:Map(String, {{aggregateType}})},
    {states:Map(String, {{statesType}})},
    {loads:String},
    {masked:Map(String, UInt64)}
WHERE (SELECT max((`term`, `epoch`)) FROM {{.SplitDate}}) = ({previous_term:UInt64}, {previous_epoch:UInt64})
    AND (SELECT max(`term`) FROM {{.Writers}}) = {term:UInt64}
