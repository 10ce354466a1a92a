#!/bin/sh
# Builds the container image dist/contactsync-VERSION.oci.tar, or another FILE: tools/image.sh [FILE]. Called by make.
# No daemon and no root is needed: umoci puts a layer over the Debian that tools/setup.sh has made.
# The same commit gives the same octets, with the same packages of Debian and the same locks.
set -eu
cd "$(dirname "$0")/.."
umask 022

version=$(.venv/bin/python -c 'import contactsync; print(contactsync.__version__)')
archive=$(realpath --canonicalize-missing "${1:-dist/contactsync-$version.oci.tar}")
base=$(realpath .setup/root/image.tar)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat --format=%Y CHANGELOG.md)
fi
created=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
revision=$(git rev-parse HEAD 2>/dev/null || true)
PACKAGES_CACHE=$PWD/.setup/cache
export SOURCE_DATE_EPOCH PACKAGES_CACHE

main() {
    stage
    pack
    mkdir -p "$(dirname "$archive")"
    .venv/bin/python -m tools.sbom "$base" >"${archive%.tar}.cdx.json"
    ls -l "$archive" | awk '{ print $5 " octets: " $NF }'
}

# The files of make install, without what needs systemd, and without pip.
stage() {
    .venv/bin/python -m hatchling build --target wheel --directory "$work/wheel" >/dev/null 2>&1
    WHEEL=$(echo "$work"/wheel/*.whl)
    export WHEEL
    DESTDIR=$work/root PREFIX=/usr UNITDIR=/lib/systemd/system PYTHON=/usr/bin/python3 tools/install.sh install >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; exit 1; }
    program=$work/root/usr/lib/contactsync
    rm -rf "$work/root/lib" "$work/root/usr/lib/sysusers.d" "$work/root/usr/lib/tmpfiles.d" \
        "$work/root/etc/contactsync/web.toml" "$program/lib/python3.11/site-packages/pip" \
        "$program/lib/python3.11/site-packages/pip-"*
    find "$program/bin" -type f ! -name contactsync -delete
}

pack() {
    image=$work/layout:$version
    umoci init --layout "$work/layout"
    umoci new --image "$image"
    add_layer "$base" "Debian 12"
    mkdir -p "$work/root/dev"
    tar_of "$work/root" "$work/layer.tar" --owner=0 --group=0 --create dev etc usr
    mkdir -p "$work/root/run/contactsync"
    tar_of "$work/root" "$work/layer.tar" --owner=10001 --group=0 --mode=770 --append run/contactsync
    add_layer "$work/layer.tar" "make install"
    configure
    umoci gc --layout "$work/layout"
    # The names under which podman and docker load it.
    name="\"org.opencontainers.image.ref.name\":\"contactsync:$version\""
    sed -i "s|\"org.opencontainers.image.ref.name\":\"[^\"]*\"|$name,\"io.containerd.image.name\":\"docker.io/library/contactsync:$version\"|" \
        "$work/layout/index.json"
    tar_of "$work/layout" "$archive" --owner=0 --group=0 --mode=u+w,go=r,a+X --create oci-layout index.json blobs
}

tar_of() {
    folder=$1
    file=$2
    shift 2
    tar -C "$folder" --file="$file" --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" --numeric-owner "$@"
}

add_layer() { umoci raw add-layer --image "$image" --history.created "$created" --history.created_by "$2" "$1"; }

# tini is process 1: it passes signals to contactsync and reaps orphans, such as those of an embedded PostgreSQL.
configure() {
    umoci config --image "$image" --no-history --created "$created" --architecture "$(dpkg --print-architecture)" --os linux \
        --config.user 10001:0 --config.workingdir /var/lib/contactsync \
        --config.entrypoint /usr/bin/tini --config.entrypoint -- --config.entrypoint /usr/bin/contactsync --config.cmd daemon \
        --config.env PATH=/usr/sbin:/usr/bin --config.env LANG=C.UTF-8 --config.env CREDENTIALS_DIRECTORY=/run/secrets \
        --config.env STATE_DIRECTORY=/var/lib/contactsync --config.env RUNTIME_DIRECTORY=/run/contactsync \
        --config.env CONTACTSYNC_LOG__STREAM=stdout --config.env CONTACTSYNC_CONTROL__MODE=0600 \
        --config.volume /var/lib/contactsync --config.volume /run/contactsync \
        --config.label "org.opencontainers.image.title=contactsync" \
        --config.label "org.opencontainers.image.description=$(sed -n 's/^description = "\(.*\)"$/\1/p' pyproject.toml)" \
        --config.label "org.opencontainers.image.version=$version" \
        --config.label "org.opencontainers.image.revision=$revision" \
        --config.label "org.opencontainers.image.created=$created" \
        --config.label "org.opencontainers.image.licenses=Apache-2.0" \
        --config.label "org.opencontainers.image.base.name=debian:12"
}

main
