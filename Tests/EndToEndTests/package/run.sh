#!/bin/sh
# Builds the Debian package, and has a fresh Debian install it, run jobs, upgrade in the middle of one, and purge it.
#
# usage: run.sh [BIN]     BIN: the folder of statically linked programs (default: the package builds its own)
#
# CHARNND_SYSTEMD_BOX names a program that boots systemd from a root tree and can make one (needs root):
#   box --make-root DIR --include PACKAGES;  box --root DIR [--bind-ro SRC:DEST]... --script FILE
# CHARNND_PACKAGE_ROOT names such a tree that is there already.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
box=${CHARNND_SYSTEMD_BOX:?names the program that boots a systemd}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

tree=${CHARNND_PACKAGE_ROOT:-$scratch/tree}
if [ ! -d "$tree" ]; then
    echo "== a fresh Debian 12"
    "$box" --quiet --make-root "$tree" --include libopenblas0,libsystemd0,man-db
fi
# Packed in a hurry: nobody downloads these.
export DEB_LEVEL=0
echo "== the package, and a later one"
if [ $# -gt 0 ]; then
    CHARNND_BIN=$(cd "$1" && pwd)
    export CHARNND_BIN
    "$root/systemd/make-deb" --no-build "$scratch/packages"
else
    "$root/systemd/make-deb" "$scratch/packages"
    CHARNND_BIN=$(cd "$root" && swift build -c release --static-swift-stdlib --show-bin-path)
    export CHARNND_BIN
fi
"$root/systemd/make-deb" --no-build --revision 2 "$scratch/packages"
if [ -z "${CHARNND_NO_LINTIAN:-}" ] && command -v lintian >/dev/null; then
    lintian --allow-root --fail-on error,warning "$scratch"/packages/*-1_*.deb
    echo "ok: lintian"
fi
echo "== install, run, upgrade, remove, purge"
"$box" --quiet --timeout 400 --root "$tree" --bind-ro "$root:/src" --bind-ro "$scratch/packages:/packages" \
    --script "$here/package.sh"
echo "== all passed"
