#!/usr/bin/env bash
# Builds the base image of docker environments without pulling one: Debian bookworm with its Python 3.11, imported from
# a bootstrapped folder. For machines that can install Debian packages but reach no image registry.
#
#   sudo deployments/images/build-base.sh [TAG]     default: isobench-base:3.11
#
#   deployments/images/build-base.sh isobench-base:3.9 3.9
#
# With a version it packs an interpreter of this machine (uv's or pyenv's) into a copy of isobench-base:3.11, which has to
# be there, as /usr/local/bin/python3. `ISOBENCH_IMAGE='isobench-base:{python}'` then gives each commit the Python of its
# day. Does nothing if the image exists; REBUILD=1 builds it anew. Where images can be pulled you do not need it: the
# default image is `python:{python}-slim`, and ISOBENCH_IMAGE names another.
set -euo pipefail

tag=${1:-isobench-base:3.11}
version=${2:-}
suite=bookworm
# git and a compiler: setup commands and source distributions need them. The same set as a full python image has.
packages=python3,python3-venv,python3-dev,ca-certificates,git,gcc,g++,libc6-dev,make

if [ -z "${REBUILD:-}" ] && docker image inspect "$tag" >/dev/null 2>&1; then
  echo "$tag exists"
  exit 0
fi
if [ -n "$version" ]; then
  base=isobench-base:3.11
  docker image inspect "$base" >/dev/null 2>&1 || { echo "no image $base: run this script without a version first" >&2; exit 1; }
  home=
  for found in "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/uv/python}"/cpython-"$version".*-linux-* \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*; do
    if [ -x "$found/bin/python$version" ]; then home=$found; fi
  done
  [ -n "$home" ] || { echo "no Python $version here: uv python install $version, or pyenv install $version" >&2; exit 1; }
  container=$(docker create "$base" ldconfig)  # which finds the libpython that some interpreters are linked to
  links=$(mktemp -d)
  trap 'docker rm -f "$container" >/dev/null; rm -r "$links"' EXIT
  # programs name their interpreter by its old place: only the interpreter itself goes into bin
  tar -C "$home" --owner=0 --group=0 --exclude='__pycache__' --exclude="lib/python$version/test" \
    --exclude="lib/python$version/site-packages" --exclude='*.a' -c include lib "bin/python$version" \
    | docker cp -q - "$container":/usr/local
  ln -s "python$version" "$links/python3"
  ln -s "python$version" "$links/python"
  tar -C "$links" --owner=0 --group=0 -c python python3 | docker cp -q - "$container":/usr/local/bin
  docker start -a "$container"
  image=$(docker commit --change 'CMD ["python3"]' --change "LABEL isobench.python=$version" "$container")
  docker run --rm --network none "$image" python3 -c \
    "import sys, ssl, sqlite3, zlib, ctypes, venv; assert sys.version.startswith('$version.') and sys.prefix == '/usr/local'"
  docker tag "$image" "$tag"
  echo "built $tag"
  exit 0
fi
command -v debootstrap >/dev/null || { echo "debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "debootstrap needs root: run this with sudo" >&2; exit 1; }

# The mirror, its proxy and its certificates are whatever this machine's apt uses.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY)' \
  | awk -v suite="$suite" '$2 == suite && $3 == "main" && $4 == "Packages" {print $1; exit}')
if [ -z "$mirror" ]; then
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT) $(CREATED_BY)' \
    | awk '$2 == "main" && $3 == "Packages" {print $1; exit}')
fi
[ -n "$mirror" ] || { echo "apt knows no mirror: run apt-get update first" >&2; exit 1; }

root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >"$root.log" 2>&1 \
  || { tail -20 "$root.log" >&2; exit 1; }
rm -f "$root.log"

ln -sf python3 "$root/usr/bin/python"
# The machine's own certificates: a proxy that re-signs traffic must be trusted inside as well.
cp -f /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt" 2>/dev/null || true
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/* \
  "$root"/var/log/* "$root"/etc/resolv.conf
tar -C "$root" --numeric-owner --one-file-system -c . | docker import \
  --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
  --change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]' \
  --change "LABEL isobench.base=$suite" - "$tag" >/dev/null
echo "built $tag"
