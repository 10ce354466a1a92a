#!/bin/sh
# Builds the Debian package: tools/deb.sh [VERSION [FOLDER]]. Called by make; DPKG_DEB_OPTIONS is for tests.
# The same commit gives the same octets, with the same Debian release and the same locks.
set -eu
cd "$(dirname "$0")/.."
umask 022

python=.venv/bin/python
version=${1:-$($python -c 'import contactsync; print(contactsync.__version__)')}
output=${2:-dist}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$output" "$work/debian"
rm -f "$output"/contactsync_*.deb

# The time of all files of the package.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat --format=%Y CHANGELOG.md)
fi
SOURCE=$(pwd -P)
DEB_OUTPUT=$(realpath "$output")
PACKAGES_CACHE=${PACKAGES_CACHE:-$SOURCE/.setup/cache}
export SOURCE SOURCE_DATE_EPOCH DEB_OUTPUT PACKAGES_CACHE

logged() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }
logged $python -m hatchling build --target wheel --directory "$work/wheel"
WHEEL=$(echo "$work"/wheel/*.whl)
export WHEEL

cp -R debian/. "$work/debian"
$python -c 'from tools.sbom import licence_texts; print(licence_texts())' >"$work/licences"
cat debian/copyright.head "$work/licences" >"$work/debian/copyright"
cat >"$work/debian/changelog" <<EOF
contactsync ($version) stable; urgency=medium

  * What changed for users is in CHANGELOG.md.

 -- $(sed -n 's/^Maintainer: //p' debian/control)  $(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
EOF
cd "$work"
dpkg-checkbuilddeps
logged debian/rules binary
sha256sum "$DEB_OUTPUT/contactsync_${version}_$(dpkg --print-architecture).deb"
