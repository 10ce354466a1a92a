"""Who may sign in, and who is an administrator, by the groups of a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from contactsync.ldap.dn import group_key
from contactsync.settings.sign_in import SignIn
from contactsync.web.person import How, Person


class Roles:
    """The groups of the settings: DNs, or names for a web server or a provider that sends such.

    Groups with the same `key` are the same; by default DNs are compared as such, and names without regard to case.
    """

    def __init__(self, settings: SignIn, key: Callable[[str], str] = group_key) -> None:
        self._key = key
        self._members = self._keys(split_groups(settings.members))
        self._administrators = self._keys(split_groups(settings.administrators))

    def person(self, user: str, groups: tuple[str, ...], how: How, address: str) -> Person | None:
        """The person with these groups; None if none of them may sign in."""
        keys = self._keys(groups)
        admin = not keys.isdisjoint(self._administrators)
        if self._members and not admin and keys.isdisjoint(self._members):
            return None
        return Person(user, admin=admin, how=how, address=address, groups=groups)

    def _keys(self, groups: Iterable[str]) -> frozenset[str]:
        return frozenset(map(self._key, groups))


def split_groups(text: str) -> list[str]:
    """The groups of a text with semicolons between them."""
    return [part.strip() for part in text.split(";") if part.strip()]
