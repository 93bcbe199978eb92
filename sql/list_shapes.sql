SELECT `shape`, `columns` FROM {{.Shapes}} WHERE `shape` IN {shapes:Array(UInt64)}
