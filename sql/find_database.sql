SELECT `engine` FROM system.databases WHERE `name` = {name:String}
