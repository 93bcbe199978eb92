SELECT min(created_at), max(created_at) FROM {sales}
