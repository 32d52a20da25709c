#!/bin/sh
# build.sh PART DIR FLAGS...: the C tests of native/PART, which are PART_*.c, with
# these flags into DIR.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
native=$here/../../native
part=$native/$1
tests=$here/$1_
dir=$2
more=
[ "$1" != preap ] || more=$native/scan/statline.c
shift 2
mkdir -p "$dir"
for source in "$tests"*.c; do
  ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -pthread -I"$part" "$@" \
    -o "$dir/$(basename "$source" .c)" "$source" "$part"/*.c $more
done
