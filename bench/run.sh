#!/usr/bin/env bash
# Who runs it: `npm run bench [-- init|scan|reap] [--quick]` (init: or --start), as root. One run
# measures Lychgate and its peers side by side; prints a table, writes build/bench/NAME.json.
set -euo pipefail
cd "$(dirname "$0")/.."
unset NODE_EXTRA_CA_CERTS # doubles Node's start
what=init
case "${1:-}" in
  init | scan | reap) what=$1; shift ;;
  '' | --quick | --start) ;;
  *) echo "bench: no such benchmark: $1 (init, scan, reap)" >&2; exit 2 ;;
esac

out=build/bench
mkdir -p "$out/peers"
compile() { cc -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -o "$out/$1" "bench/$1.c" "${@:2}"; }
npx esbuild "bench/$what.ts" --bundle --platform=node --target=node20 --format=esm \
  --packages=external --outfile="$out/$what.mjs" --log-level=warning

if [ "$what" = init ]; then
  # Static: a COMMAND's own dynamic linking is no part of an init's start.
  compile measure -static
  compile start
  exec node "$out/init.mjs" "$@"
fi

if [ "$what" = reap ]; then
  compile standstill -pthread
  exec node "$out/reap.mjs" "$@"
fi

for program in population usage floor; do compile "$program"; done
# What is not installed is left out, and named below the table.
if command -v go >/dev/null && [ -d /usr/share/gocode/src/github.com/prometheus/procfs ]; then
  GO111MODULE=off GOPATH=/usr/share/gocode go build -o "$out/peers/scan-go" bench/peers/scan.go
else
  echo 'bench: for the Go program: apt-get install golang-go golang-github-prometheus-procfs-dev' >&2
fi
if npm install --prefix "$out/peers" --no-save --no-audit --no-fund --silent --ignore-scripts \
  ps-list@9.0.0 systeminformation@5.33.23 >/dev/null; then
  cp bench/peers/*.mjs "$out/peers/"
else
  echo 'bench: ps-list and systeminformation could not be installed' >&2
fi
exec unshare --pid --fork --kill-child --mount-proc node "$out/scan.mjs" "$@"
