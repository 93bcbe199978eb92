SELECT status, count(), sum(price * qty) FROM {sales} GROUP BY status ORDER BY status
