SELECT * FROM {sales} WHERE id = {point}
