#!/usr/bin/env bash
# Builds the base image of docker environments without pulling one: Debian bookworm with its Python 3.11, imported from
# a bootstrapped folder. For machines that can install Debian packages but reach no image registry.
#
#   sudo deployments/images/build-base.sh [TAG]     default: isobench-base:3.11
#
# Does nothing if the image exists; REBUILD=1 builds it anew. Where images can be pulled you do not need it: the default
# image is `python:3.11-slim`, and ISOBENCH_IMAGE names another.
set -euo pipefail

tag=${1:-isobench-base:3.11}
suite=bookworm
# git and a compiler: setup commands and source distributions need them. The same set as a full python image has.
packages=python3,python3-venv,python3-dev,ca-certificates,git,gcc,g++,libc6-dev,make

if [ -z "${REBUILD:-}" ] && docker image inspect "$tag" >/dev/null 2>&1; then
  echo "$tag exists"
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
