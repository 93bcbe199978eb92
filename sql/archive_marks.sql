INSERT INTO {{.SplitDateLog}} SELECT * FROM {{.SplitDate}} WHERE intDiv(`epoch`, 64) = {partition:UInt64}
