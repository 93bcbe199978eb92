#!/bin/sh
set -eu
psql -v ON_ERROR_STOP=1 -U postgres -d shop -v password="$TIDEMARK_PASSWORD" <<'SQL'
ALTER ROLE tidemark PASSWORD :'password';
SQL
