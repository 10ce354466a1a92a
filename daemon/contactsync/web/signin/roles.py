"""Who may sign in, and who is an administrator, by the groups of a person."""

from __future__ import annotations

from collections.abc import Iterable

from contactsync.ldap.dn import group_key
from contactsync.settings.sign_in import SignIn
from contactsync.web.person import How, Person


class Roles:
    """The groups of the settings: DNs, or names for a web server that sends such."""

    def __init__(self, settings: SignIn) -> None:
        self._members = _keys(split_groups(settings.members))
        self._administrators = _keys(split_groups(settings.administrators))

    def person(self, user: str, groups: tuple[str, ...], how: How, address: str) -> Person | None:
        """The person with these groups; None if none of them may sign in."""
        keys = _keys(groups)
        admin = not keys.isdisjoint(self._administrators)
        if self._members and not admin and keys.isdisjoint(self._members):
            return None
        return Person(user, admin=admin, how=how, address=address, groups=groups)


def split_groups(text: str) -> list[str]:
    """The groups of a text with semicolons between them."""
    return [part.strip() for part in text.split(";") if part.strip()]


def _keys(groups: Iterable[str]) -> frozenset[str]:
    return frozenset(map(group_key, groups))
