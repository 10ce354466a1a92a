#!/bin/sh
# Installs the named Debian packages, as root, with no service started by it. Called by tools/setup.sh; without a name
# it only puts back what an installation that was killed has left behind.
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d # asked by Debian's packages before they start a service; 101 means no
saved=$policy.saved-by-contactsync
mark="# contactsync: no service starts while its packages are installed"

was_killed() { grep -qsF "$mark" "$policy"; }

forbid_starts() {
    [ ! -e "$policy" ] || mv "$policy" "$saved"
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
}

finish() {
    if [ "$had_slapd" = no ] && [ -e /etc/init.d/slapd ]; then
        # Or it would listen on all addresses after the next boot. Without systemd its half of this command complains.
        update-rc.d slapd disable 2>/dev/null
    fi
    ! was_killed || rm "$policy"
    [ ! -e "$saved" ] || mv "$saved" "$policy"
}

had_slapd=no
was_killed || ! command -v slapd >/dev/null || had_slapd=yes
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
[ $# -gt 0 ] || exit 0
was_killed || forbid_starts
apt-get -qq update
apt-get -qq install --yes --no-install-recommends "$@"
