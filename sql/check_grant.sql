CHECK GRANT {{.Privilege}} ON {{ident .Database}}.*
