#!/usr/bin/env bash
# Who runs it: test/support/engine.ts, inside the engine's namespaces, where /run
# is a tmpfs. Makes an image from what is installed, for there is no registry.
# Usage: image.sh TAG busybox | image.sh TAG node ROOT NODE | image.sh TAG lean ROOT PLAN
set -euo pipefail
tag=$1 kind=$2
tree=$(mktemp -d -p /run)
trap 'rm -rf "$tree"' EXIT

add_program() { # SOURCE TARGET, with the libraries it needs
  install -D "$(readlink -f "$1")" "$tree$2"
  { ldd "$1" 2>/dev/null || true; } | sed -n 's|^[^/]*\(/[^ ]*\).*|\1|p' | while read -r library; do
    [ -e "$tree$library" ] || install -D "$(readlink -f "$library")" "$tree$library"
  done
}

mkdir -p "$tree"/{proc,sys,dev,etc,tmp,root,usr/bin}
chmod 1777 "$tree/tmp"
echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
add_program "$(command -v busybox)" /bin/busybox
for applet in $(busybox --list); do
  [ "$applet" = busybox ] || ln -s /bin/busybox "$tree/bin/$applet"
done
ln -s /bin/env "$tree/usr/bin/env"
change=()
if [ "$kind" = lean ]; then # no Node in it
  root=$3 plan=$4
  install -D "$root/build/Release/lychgate-pid1" "$tree/sbin/lychgate-pid1"
  install -D -m 644 "$plan" "$tree/etc/lychgate.plan"
  add_program "$root/build/fixtures/probe" /bin/probe
  change=(--change 'ENTRYPOINT ["/sbin/lychgate-pid1", "--plan=/etc/lychgate.plan"]')
fi
if [ "$kind" = node ]; then
  root=$3 node=$4
  add_program "$node" /usr/bin/node
  add_program "$root/build/Release/lychgate.node" /opt/lychgate/build/Release/lychgate.node
  if [ -e "$root/build/Release/lychgate-pid1" ]; then
    install "$root/build/Release/lychgate-pid1" "$tree/opt/lychgate/build/Release/lychgate-pid1"
  fi
  mkdir -p "$tree/opt/lychgate/dist"
  cp "$root"/dist/*.cjs "$tree/opt/lychgate/dist/"
  ln -s /opt/lychgate/dist/cli.cjs "$tree/usr/bin/lychgate"
  change=(--change 'ENTRYPOINT ["lychgate"]')
fi
tar -C "$tree" -c . | docker import "${change[@]}" - "$tag"
