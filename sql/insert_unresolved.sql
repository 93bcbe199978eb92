INSERT INTO {{.Changes}}({{columns .Columns}}, `_chunk`, `_lsn`, `_ordinal`, `_insert`, `_live`, `_op`, `_time`, `_unchanged`, {{sources .Key}})
