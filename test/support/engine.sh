#!/usr/bin/env bash
# Who runs it: test/support/engine.ts. A container engine that lives as long as
# the standard input is open, and leaves nothing behind, however the tests end.
# It has a PID and a mount namespace of its own, so the kernel ends what it
# started and drops what it mounted; what it writes goes to a tmpfs.
# Usage: engine.sh 1|2   (the cgroup version it shall find)
set -euo pipefail
version=$1

thaw() { # what freezes any process of ours, at every level
  local file line path root
  for file in /proc/[0-9]*/cgroup; do
    while read -r line; do
      case $line in *:freezer:/?* | 0::/?*) path=${line#*:*:} ;; *) continue ;; esac
      while [ -n "$path" ]; do
        for root in /sys/fs/cgroup /sys/fs/cgroup/{unified,freezer}; do
          [ ! -e "$root$path/freezer.state" ] || echo THAWED >"$root$path/freezer.state"
          [ ! -e "$root$path/cgroup.freeze" ] || echo 0 >"$root$path/cgroup.freeze"
        done
        path=${path%/*}
      done
    done <"$file" || true # it ended
  done
}

finish() {
  trap '' TERM
  ls /var/lib/docker/containers /run/containerd/io.containerd.runtime.v2.task/k8s.io 2>/dev/null |
    grep -x '[0-9a-f]\{64\}' >&4 || true
  # First nobody who could freeze again, then the frozen, who die only when thawed.
  kill -KILL -1
  thaw 2>/dev/null
  exit "$1"
}

daemon() {
  "$@" 3<&- 4>&- || true
  echo "engine: $1 ended" >&2
  kill -TERM 1
}

inside() { # PID 1 of the engine
  read -r host _ </proc/self/stat # /proc is still the host's
  mount -t proc proc /proc
  mount -t tmpfs -o mode=755 tmpfs /run
  mount -t tmpfs -o mode=755 tmpfs /var/lib
  if [ "$version" = 2 ]; then
    umount -R /sys/fs/cgroup # not only covered: mountinfo would show both
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
  fi
  printf 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n' >/run/containerd.toml
  exec 3<&0 4>&1 >&2 </dev/null
  trap 'finish 1' TERM
  daemon containerd --config /run/containerd.toml &
  # No firewall, no bridge, no raised OOM priority: none is needed, not all is allowed.
  daemon dockerd --containerd /run/containerd/containerd.sock --bridge=none --iptables=false \
    --ip6tables=false --exec-opt native.cgroupdriver=cgroupfs --oom-score-adjust=0 &
  echo "engine: pid $host" >&2
  read -r -u 3 _ || true # until the tests are over
  finish 0
}

if [ "${2-}" = inside ]; then
  inside
fi
code=0
ids=$(unshare --mount --pid --fork bash "$0" "$version" inside) || code=$?
# Every process of it has ended. Only the cgroups are the host's.
for id in $ids; do
  # find complains when other cgroups vanish meanwhile
  find /sys/fs/cgroup -depth -type d -path "*/$id*" -exec rmdir {} \; 2>/dev/null || true
done
for top in /sys/fs/cgroup/{,*/}{docker,k8s.io}; do
  [ ! -d "$top" ] || rmdir --ignore-fail-on-non-empty "$top" # another engine may use it
done
exit $code
