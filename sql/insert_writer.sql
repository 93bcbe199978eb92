INSERT INTO {{.Writers}} (`term`, `writer`) VALUES ({term:UInt64}, {writer:UInt64})
