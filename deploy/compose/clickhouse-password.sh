#!/bin/sh
set -eu
clickhouse-client --password "$CLICKHOUSE_PASSWORD" \
  --query "ALTER USER tidemark IDENTIFIED WITH sha256_password BY '$TIDEMARK_PASSWORD' HOST ANY"
