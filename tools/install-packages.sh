#!/bin/sh
# Installs Debian packages, as root, without starting their services. Called by tools/setup.sh; without packages it only
# restores /usr/sbin/policy-rc.d after an installation that was killed.
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d # asked by Debian's packages before they start a service; 101 means no
saved=$policy.saved-by-contactsync
mark="# contactsync: no service starts while its packages are installed"

was_killed() { grep -qsF "$mark" "$policy"; }

forbid_starts() {
    [ ! -e "$policy" ] || mv "$policy" "$saved"
    printf '#!/bin/sh\n%s\n# new:%s\nexit 101\n' "$mark" "$new_services" >"$policy"
    chmod 755 "$policy"
}

finish() {
    for service in $new_services; do
        # It would listen on all addresses after the next boot. Without systemd, update-rc.d prints a warning.
        [ ! -e "/etc/init.d/$service" ] || update-rc.d "$service" disable 2>/dev/null
    done
    ! was_killed || rm "$policy"
    [ ! -e "$saved" ] || mv "$saved" "$policy"
}

if was_killed; then
    new_services=$(sed -n 's/^# new://p' "$policy")
else
    new_services=
    for service in slapd prometheus smbd nmbd winbind samba-ad-dc glewlwyd; do
        case $service in winbind) program=winbindd ;; samba-ad-dc) program=samba ;; *) program=$service ;; esac
        command -v "$program" >/dev/null || new_services="$new_services $service"
    done
fi
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
[ $# -gt 0 ] || exit 0
was_killed || forbid_starts
apt-get -qq update
apt-get -qq install --yes --no-install-recommends "$@"
