#!/bin/sh
# pid1.sh asan|fuzz|layout DIR: lychgate-pid1 as its tests want it: under the sanitizers
# (by the C library that has them), its plan reader alone for libFuzzer, its struct told.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
native=$here/../../native
dir=$2
flags='-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -g -O1'
sanitize='-fsanitize=address,undefined -fno-sanitize-recover=all'
mkdir -p "$dir"
# shellcheck disable=SC2086
case $1 in
  asan) # without small.c: the sanitizers stand in for the same functions
    sources=
    for file in "$native"/core/*.c "$native"/pid1/*.c; do
      case $file in */handlers.c | */ring.c | */small.c | */spawn.c) ;; *) sources="$sources $file" ;; esac
    done
    # The frames of a child that executes never return: what is marked around them would
    # be found again by the next child, whose stack is mapped at the same place.
    cc $flags $sanitize --param asan-stack=0 -fno-pie -c -o "$dir/spawn.o" "$native/core/spawn.c"
    cc $flags $sanitize -fno-pie -no-pie -Wl,-e,lg_entry -o "$dir/lychgate-pid1" $sources "$dir/spawn.o"
    ;;
  fuzz) clang $flags -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
    -I"$native/pid1" -o "$dir/plan_fuzz" "$here/plan_fuzz.c" "$native/pid1/plan.c" ;;
  layout) cc $flags -I"$native/pid1" -o "$dir/plan_layout" "$here/plan_layout.c" ;;
  *) exit 2 ;;
esac
