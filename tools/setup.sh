#!/bin/sh
# Installs what `make demo`, `make lint`, `make test` and `make bench` need, once: a second run changes nothing and needs
# no network. PYTHON is the interpreter to use (default: python3).
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin" # Debian has slapd and useradd there, outside of most users' PATH
python=${PYTHON:-python3}
purpose=${1:-} # empty for the demo; "tools", "test", "bench" for checks, tests, benchmark; "deb", "image" for packages
debian_python=/usr/lib/python3/dist-packages # has packages without a wheel: python-ldap and python-gssapi

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

main() {
    take_turns
    check_python
    install_packages
    add_account
    roots=
    if [ "$purpose" = test ] && [ "$(id -u)" -eq 0 ]; then # beside the rest; sudo might ask for a password there
        make_roots_of_tests &
        roots=$!
    fi
    make_environment
    case $purpose in deb | image | test) make_packages ;; esac
    case $purpose in
    image) make_root_of_image || fail "The image is made over that Debian." ;;
    test) if [ -n "$roots" ]; then wait "$roots"; else make_roots_of_tests; fi ;;
    esac
}

# Two makes at once must not write the same virtual environment.
take_turns() {
    mkdir -p .setup
    exec 9>.setup/lock
    flock --nonblock 9 && return
    say "Another make is setting up here; waiting for it."
    flock 9
}

check_python() {
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
        fail "There is no program $python; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$python is Python $version; contactsync needs 3.11 or newer. Name one: make PYTHON=/path/to/python3.11."
}

install_packages() {
    missing=$(missing_packages)
    if [ -n "$missing" ]; then
        command -v apt-get >/dev/null || fail "These are missing, and there is no apt-get to install them:$missing."
        say "These Debian packages are missing and will be installed:$missing."
        say "Their services (slapd, prometheus, dirsrv, pgbouncer, glewlwyd, Samba's) are not started, neither now nor at boot."
    elif grep -qs '^# contactsync:' /usr/sbin/policy-rc.d; then
        say "An earlier installation was killed; putting /usr/sbin/policy-rc.d back as it was."
    else
        return 0
    fi
    as_root sh tools/install-packages.sh $missing
    missing=$(missing_packages)
    [ -z "$missing" ] || fail "After the installation these are still missing:$missing."
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        say "sudo is used for that, and for nothing else; it may ask for your password."
        sudo "$@"
    else
        fail "That needs root. As root, run in this folder: $*"
    fi
}

missing_packages() {
    command -v slapd >/dev/null || printf ' slapd'
    command -v ldapsearch >/dev/null || printf ' ldap-utils'
    if [ "$purpose" = test ]; then
        command -v curl >/dev/null || printf ' curl'
        command -v man >/dev/null || printf ' man-db'
        command -v zsh >/dev/null || printf ' zsh' # parses its completion
        command -v ns-slapd >/dev/null || printf ' 389-ds-base' # the tests start a private one if root runs them
        command -v promtool >/dev/null || printf ' prometheus' # for promtool, which checks the alert rules
        command -v pgbouncer >/dev/null || printf ' pgbouncer'
        missing_samba
        command -v glewlwyd >/dev/null || printf ' glewlwyd dbconfig-sqlite3' # an OpenID provider
        command -v bwrap >/dev/null || printf ' bubblewrap' # runs the container image
    fi
    case $purpose in deb | image | test) missing_python ;; esac
    case $purpose in deb | test) command -v dh >/dev/null || printf ' debhelper' ;; esac
    [ "$purpose" != deb ] || command -v lintian >/dev/null || printf ' lintian'
    case $purpose in test | image) missing_builders ;; esac
    case $purpose in test | bench) missing_browser ;; esac
    case $purpose in test | bench) [ -d "$debian_python/ldap" ] || printf ' python3-ldap' ;; esac
    [ -x .venv/bin/python ] || "$python" -c 'import ensurepip, venv' 2>/dev/null || venv_package
}

# The Debian package and the container image are for Debian's Python.
missing_python() {
    [ -d "$debian_python/gssapi" ] || printf ' python3-gssapi'
    /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || printf ' python3-venv'
}

# What builds the container image.
missing_builders() {
    command -v mmdebstrap >/dev/null || printf ' mmdebstrap'
    command -v umoci >/dev/null || printf ' umoci'
}

# An Active Directory for the tests, with packages that Debian only recommends, or splits off in some releases.
missing_samba() {
    command -v samba >/dev/null || printf ' samba samba-ad-dc'
    command -v samba-tool >/dev/null || printf ' samba-common-bin'
    [ -d /usr/share/samba/setup ] || printf ' samba-ad-provision'
    [ -n "$(find /usr/lib -path '*/samba/ldb/samba_dsdb.so' 2>/dev/null)" ] || printf ' samba-dsdb-modules'
    [ -n "$(find /usr/lib -path '*/samba/vfs/acl_xattr.so' 2>/dev/null)" ] || printf ' samba-vfs-modules'
}

# The browser of the console's tests, with letters of most scripts. Nothing is downloaded by playwright itself.
missing_browser() {
    command -v chromium-headless-shell >/dev/null || printf ' chromium-headless-shell'
    [ -e /usr/share/fonts/truetype/noto/NotoSans-Regular.ttf ] || printf ' fonts-noto-core'
    [ -e /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc ] || printf ' fonts-noto-cjk'
}

# In Debian venv is a package: python3-venv for its python3, python3.X-venv for its other interpreters.
venv_package() {
    if [ "$("$python" -c 'import sys; print(sys.executable)')" = /usr/bin/python3 ]; then
        printf ' python3-venv'
    else
        printf ' python%s-venv' "$version"
    fi
}

add_account() {
    [ "$(id -u)" -eq 0 ] || return 0
    id contactsync >/dev/null 2>&1 && return
    say "PostgreSQL does not run as root: adding the system account contactsync for it, without a home or a shell."
    useradd --system --no-create-home --shell /usr/sbin/nologin contactsync
}

# The stamps are in the environment, and are deleted with it.
make_environment() {
    packages="$(checksum requirements-run.lock) $(checksum requirements-build.lock) $(pwd -P) $version"
    tools=$(checksum requirements.lock)
    if ! is_stamped packages "$packages" || { [ -e .venv/tools.stamp ] && ! is_stamped tools "$tools"; }; then
        say "Making the virtual environment .venv: downloading the packages of the locks, checked by their hashes."
        "$python" -m venv --clear .venv
        pip_install --require-hashes --only-binary :all: --requirement requirements-run.lock
        pip_install --require-hashes --only-binary :all: --requirement requirements-build.lock
        stamp packages "$packages"
    fi
    # The same versions of the same packages, and the packages for developers.
    if [ -n "$purpose" ] && ! is_stamped tools "$tools"; then
        say "Adding the packages of requirements.lock, checked by their hashes."
        pip_install --require-hashes --only-binary :all: --requirement requirements.lock
        stamp tools "$tools"
    fi
    link_files
    wanted=$(checksum pyproject.toml)
    if ! is_stamped project "$wanted"; then
        pip_install --no-index --no-deps --no-build-isolation --editable .
        stamp project "$wanted"
    fi
}

# A clone has these links; in an unpacked sdist they are made here.
link_files() {
    for path in deploy/* settings.toml; do
        link=daemon/contactsync/files/${path##*/}
        [ -e "$link" ] || ln -s "../../../$path" "$link"
    done
}

# The environment of the Debian package and of the container image, for Debian's Python.
make_packages() {
    PACKAGES_CACHE=$PWD/.setup/cache DESTDIR=$PWD/.setup/stage PREFIX=/usr PYTHON=/usr/bin/python3 tools/install.sh packages
    rm -rf .setup/stage
}

# The Debian below the container image, which also names the default user of the image. New volumes take over the owners.
make_root_of_image() {
    make_root image --variant=essential --include=python3,python3-gssapi,ca-certificates,tini --skip=output/dev \
        --customize-hook='echo "contactsync:x:10001:0:contactsync:/var/lib/contactsync:/usr/sbin/nologin" >>"$1/etc/passwd"' \
        --customize-hook='install -d -m 770 -o 10001 "$1/var/lib/contactsync"'
}

# Only root can install packages in a test.
make_roots_of_tests() {
    make_root_of_image || say "The tests of the container image will be skipped."
    [ "$(id -u)" -ne 0 ] || make_root debian --variant=minbase --include=python3,systemd ||
        say "The tests of the Debian package will be skipped."
}

# A Debian 12 as a tar archive, made once. The first argument is its name, the others are options of mmdebstrap. Fails
# without the network.
make_root() {
    root=.setup/root/$1.tar
    shift
    made_by=$(printf '%s\n' "$@" | sha256sum)
    [ ! -e "$root" ] || [ "$(cat "$root.stamp" 2>/dev/null)" != "$made_by" ] || return 0
    say "Making a Debian 12, $root, from Debian's packages; it takes a minute, once."
    mkdir -p .setup/root
    # The time of files that are written there: that of hatchling's wheels.
    as_root env SOURCE_DATE_EPOCH=1580601600 mmdebstrap --quiet --format=tar \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include=usr-is-merged \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        "$@" bookworm "$root.new" || {
        rm -f "$root.new"
        say "There is no $root: mmdebstrap could not make it; it needs Debian's packages from the network."
        return 1
    }
    mv "$root.new" "$root" && printf '%s\n' "$made_by" >"$root.stamp"
}

pip_install() { .venv/bin/python -m pip --quiet --disable-pip-version-check install "$@"; }
checksum() { sha256sum "$1" | cut -d ' ' -f 1; }
is_stamped() { [ "$(cat ".venv/$1.stamp" 2>/dev/null)" = "$2" ]; }
stamp() { printf '%s\n' "$2" >".venv/$1.stamp"; }

main
