SELECT to_regclass('public.sales') IS NOT NULL
