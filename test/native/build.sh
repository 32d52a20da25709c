#!/bin/sh
# build.sh DIR FLAGS...: core_test and core_init with these flags into DIR.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
core=$here/../../native/core
dir=$1
shift
mkdir -p "$dir"
for name in core_test core_init; do
  ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -pthread -I"$core" "$@" \
    -o "$dir/$name" "$here/$name.c" "$core"/*.c
done
