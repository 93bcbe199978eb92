DROP DATABASE IF EXISTS {{ident .Internals}} SYNC
