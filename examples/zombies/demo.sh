#!/usr/bin/env bash
# Who runs it: `npm run demo`. The same zombie maker in two fresh PID namespaces:
# once with a program as PID 1 that waits only for its own child, once with
# Lychgate as PID 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cli=$here/../../dist/cli.cjs
[ -e "$cli" ] || { echo 'not built yet: run npm ci first' >&2; exit 1; }
command -v ps >/dev/null || { echo 'ps is needed (Debian: apt-get install procps)' >&2; exit 1; }
space=(unshare --pid --fork --kill-child --mount-proc)
[ "$(id -u)" -eq 0 ] || space=(unshare --user --map-root-user "${space[@]:1}")
echo 'PID 1 is a program that waits for its own child only:'
"${space[@]}" python3 "$here/pid1.py" sh "$here/maker.sh" 50
echo 'PID 1 is Lychgate:'
"${space[@]}" node "$cli" -v -- sh "$here/maker.sh" 50
