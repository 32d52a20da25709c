#!/usr/bin/env bash
# Who runs it: whoever wants the layer image; CI too. Packs the package, builds the image, and
# says how large it is and how fast both entries start, measured in a container of it.
# Usage: build.sh [PACKAGE.tgz [word of docker build ...]]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/{Dockerfile,assemble.mjs,slim.mjs} "$work"
if [ $# -gt 0 ]; then
  cp "$1" "$work/"
  shift
else
  (cd "$here/../.." && npm pack --silent --pack-destination "$work" >/dev/null)
fi
docker build --tag lychgate/layer "$@" "$work"
docker build --tag lychgate/lean --target lean "$@" "$work"
for image in lychgate/layer lychgate/lean; do
  echo "$image: $(docker image inspect --format '{{.Size}}' "$image") bytes," \
    "compressed $(docker image save "$image" | gzip | wc -c)"
done
docker run --rm --interactive --network=none --entrypoint /opt/lychgate/bin/node lychgate/layer \
  --input-type=module - <"$here/measure.mjs"
