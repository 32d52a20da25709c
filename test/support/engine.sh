#!/usr/bin/env bash
# Who runs it: test/support/engine.ts. A container engine that lives as long as
# the standard input is open, and leaves nothing behind, however the tests end.
# It has a PID and a mount namespace of its own, so the kernel ends what it
# started and drops what it mounted; what it writes goes to a tmpfs.
# Usage: engine.sh 1|2   (the cgroup version it shall find)
set -euo pipefail
version=$1

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
  containerd --config /run/containerd.toml 3<&- 4>&- &
  # No firewall, no bridge, no raised OOM priority: none is needed, not all is allowed.
  dockerd --containerd /run/containerd/containerd.sock --exec-opt native.cgroupdriver=cgroupfs \
    --bridge=none --iptables=false --ip6tables=false --oom-score-adjust=0 3<&- 4>&- &
  echo "engine: pid $host" >&2
  read -r -u 3 _ || true # until the tests are over
  ls /var/lib/docker/containers >&4 2>/dev/null || true
  # First nobody who could freeze again, then the frozen, who die only when thawed.
  kill -KILL -1
  find /sys/fs/cgroup -path '*/docker/*' -name freezer.state -exec sh -c 'echo THAWED >"$1"' - {} \;
  find /sys/fs/cgroup -path '*/docker/*' -name cgroup.freeze -exec sh -c 'echo 0 >"$1"' - {} \;
}

if [ "${2-}" = inside ]; then
  inside
  exit
fi
ids=$(unshare --mount --pid --fork bash "$0" "$version" inside)
# Every process of it has ended. Only the cgroups are the host's.
for top in /sys/fs/cgroup/docker /sys/fs/cgroup/*/docker; do
  for id in $ids; do
    [ ! -d "$top/$id" ] || find "$top/$id" -depth -type d -exec rmdir {} \;
  done
  [ ! -d "$top" ] || rmdir --ignore-fail-on-non-empty "$top" # another engine may use it
done
