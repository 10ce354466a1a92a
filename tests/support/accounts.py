"""People with passwords, and their groups, in a private slapd, for the sign-in at the console."""

from __future__ import annotations

from pathlib import Path

from ldap3 import MODIFY_ADD, MODIFY_DELETE

from contactsync.testing.slapd import PrivateSlapd

PASSWORDS = {"anna": "correct horse", "bert": "battery staple", "o*b(rien)\\": "hostile, name", "jörg": "Straße 5"}
"""Anna is an administrator. The others may sign in, but for bert where `members` is set."""


class Accounts:
    """The accounts below `base`, and the groups `admins` and `sales`."""

    def __init__(self, slapd: PrivateSlapd, place: Path) -> None:
        self.base = f"ou=accounts,{slapd.suffix}"
        self._slapd = slapd
        self._connection = slapd.connection()
        self._password_file = place / "reader-password"
        self._password_file.write_text(f"{slapd.reader_password}\n")
        self._connection.add(self.base, "organizationalUnit", {"ou": "accounts"})
        self._numbers = {name: number for number, name in enumerate(PASSWORDS)}
        for name, password in PASSWORDS.items():
            person = {"uid": name, "sn": name, "userPassword": password}
            assert self._connection.add(self.dn(name), "inetOrgPerson", person), self._connection.result
        for group, members in {"admins": ["anna"], "sales": ["anna", "o*b(rien)\\", "jörg"]}.items():
            dns = {"member": [self.dn(name) for name in members]}
            assert self._connection.add(self.group(group), "groupOfNames", dns), self._connection.result

    def dn(self, name: str) -> str:
        """The DN of a person; it does not have the name in it."""
        return f"cn=person{self._numbers[name]},{self.base}"

    def group(self, name: str) -> str:
        """The DN of a group."""
        return f"cn={name},{self.base}"

    def settings(self, **more: str) -> dict[str, str]:
        """The settings of a console that asks this directory."""
        sign_in = {
            "QUERY": f"{self._slapd.tls_url}/{self.base}",
            "USER": self._slapd.reader_dn,
            "PASSWORD_FILE": str(self._password_file),
            "CA_FILE": str(self._slapd.ca_file),
            "FILTER": "(uid={name})",
            "GROUP_FILTER": "(&(objectClass=groupOfNames)(member={dn}))",
            "ADMINISTRATORS": self.group("admins"),
            **more,
        }
        return {f"CONTACTSYNC_SIGN_IN__{name}": value for name, value in sign_in.items()}

    def join(self, name: str, group: str) -> None:
        """Put a person into a group."""
        assert self._connection.modify(self.group(group), {"member": [(MODIFY_ADD, [self.dn(name)])]})

    def leave(self, name: str, group: str) -> None:
        """Take a person out of a group."""
        assert self._connection.modify(self.group(group), {"member": [(MODIFY_DELETE, [self.dn(name)])]})

    def close(self) -> None:
        """Close the connection."""
        self._connection.unbind()
