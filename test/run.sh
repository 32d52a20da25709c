#!/usr/bin/env bash
# Who runs it: `npm test` and .ci/run. Lints, type-checks, and runs every test.
set -euo pipefail
cd "$(dirname "$0")/.."
unset NODE_EXTRA_CA_CERTS # doubles Node's start
if [ "$(id -u)" -ne 0 ]; then
  echo 'the tests make PID namespaces: run them as root' >&2
  exit 1
fi
npm run --silent check
exec npx vitest run "$@"
