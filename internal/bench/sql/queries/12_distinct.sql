SELECT DISTINCT status FROM {sales} ORDER BY status
