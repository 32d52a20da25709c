#!/bin/sh
# Who runs it: node-gyp, for the second target of binding.gyp, and the tests.
# build.sh OUTPUT [FLAG...]: lychgate-pid1, static, with musl: Debian's musl-gcc, or the
# compiler of a system that is built on musl; LYCHGATE_PID1_CC names another.
set -eu
out=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
cc=${LYCHGATE_PID1_CC:-}
if [ -z "$cc" ]; then
  if command -v musl-gcc >/dev/null; then cc=musl-gcc
  else
    case $(cc -dumpmachine 2>/dev/null) in *musl*) cc=cc ;; esac
  fi
  if [ -z "$cc" ]; then
    echo 'lychgate-pid1 is left out: no compiler for musl (Debian: apt-get install musl-tools)'
    exit 0
  fi
fi
sources=
for part in forward proc reap spawn start timer tty; do sources="$sources $here/../core/$part.c"; done
for part in entry events explain main others plan policy say small wait; do sources="$sources $here/$part.c"; done
# No PIE: nothing to relocate at the start. One segment for all that is only read: a
# page that is touched brings in its neighbours from the page cache.
# shellcheck disable=SC2086
exec "$cc" -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Os -fno-pie -fno-strict-aliasing \
  -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables \
  -static -no-pie -Wl,-e,lg_entry -Wl,--gc-sections -Wl,-z,noseparate-code -Wl,-z,norelro \
  -Wl,--build-id=none -s "$@" -o "$out" $sources
