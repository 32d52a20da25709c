#!/usr/bin/env bash
# Who runs it: `npm run bench [-- --quick]`, as root. One run measures Lychgate and
# its peers side by side; prints a table, writes build/bench/result.json.
set -euo pipefail
cd "$(dirname "$0")/.."
unset NODE_EXTRA_CA_CERTS # doubles Node's start
mkdir -p build/bench
cc -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -o build/bench/measure bench/measure.c
exec node bench/main.mjs "$@"
