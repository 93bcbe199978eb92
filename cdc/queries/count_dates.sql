SELECT count(*) FILTER (WHERE %[1]s IS NULL), count(*) FILTER (WHERE %[1]s > now() + interval '1 day') FROM %[2]s
