SELECT DISTINCT lower(`name`) AS `function` FROM system.functions WHERE lower(`name`) IN {names:Array(String)} AND NOT `deterministic`
