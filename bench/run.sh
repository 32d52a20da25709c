#!/usr/bin/env bash
# Who runs it: `npm run bench [-- --quick]`, as root. One run measures Lychgate and
# its peers side by side; prints a table, writes build/bench/init.json.
set -euo pipefail
cd "$(dirname "$0")/.."
unset NODE_EXTRA_CA_CERTS # doubles Node's start
mkdir -p build/bench
cc -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -o build/bench/measure bench/measure.c
npx esbuild bench/init.ts --bundle --platform=node --target=node20 --format=esm --packages=external \
  --outfile=build/bench/init.mjs --log-level=warning
exec node build/bench/init.mjs "$@"
