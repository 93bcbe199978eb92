SELECT arrayMap(x -> toString(fromUnixTimestamp64Micro(x, {{literal .Zone}})), {micros:Array(Int64)})
