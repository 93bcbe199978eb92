SELECT count() FROM {sales}
