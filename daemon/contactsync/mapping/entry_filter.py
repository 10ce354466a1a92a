"""A mapping's `include` switches kinds of entries on and off: the filter of Active Directory's preset depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contactsync.ldap.schema import CRITICAL, EXCHANGE_HIDDEN, SERVICE, USER_ACCOUNT_CONTROL, VIEW_HIDDEN, Schema

PEOPLE, CONTACTS, GROUPS, COMPUTERS, ROOMS, SHARED, DISABLED, HIDDEN, SYSTEM = (
    "people", "contacts", "groups", "computers", "rooms", "shared", "disabled", "hidden", "system",
)  # fmt: skip
KINDS = (PEOPLE, CONTACTS, GROUPS, COMPUTERS, ROOMS, SHARED)
PRESERVED = "preserved"
"""FreeIPA's preserved and staged people, which no filter can tell from others."""
DEFAULTS = {name: name in {PEOPLE, CONTACTS} for name in (*KINDS, DISABLED, HIDDEN, SYSTEM, PRESERVED)}
"""The switches of `include` with their defaults."""

_BIT = f"({USER_ACCOUNT_CONTROL}:1.2.840.113556.1.4.803:=%d)"
"""LDAP_MATCHING_RULE_BIT_AND ([MS-ADTS], section 3.1.1.3.4.4.1)."""
_ACCOUNTDISABLE, _INTERDOMAIN_TRUST = 0x2, 0x800
"""Bits of userAccountControl ([MS-ADTS], section 2.2.16)."""
DISABLED_ACCOUNT = _BIT % _ACCOUNTDISABLE
_COMPUTER = "(objectCategory=computer)"
_MAILBOXES = {
    ROOMS: (0x10, 0x20, 0x2_0000_0000, 0x4_0000_0000),
    SHARED: (0x4, 0x8_0000_0000),
}
"""Exchange's msExchRecipientTypeDetails: rooms and equipment, shared mailboxes; here and in Exchange Online."""
_CONFLICT = r"(cn=*\0aCNF:*)"
"""The name that replication gives to one of two entries that were added under the same name."""


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """A filter for the `wanted` entries that match every restriction: an attribute, and a filter about it."""

    wanted: str
    restrictions: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The filter for a server that knows all attributes."""
        return both(self.wanted, *(item for _, item in self.restrictions))

    @property
    def excludes_hidden(self) -> bool:
        """Whether it excludes entries that are hidden from address lists."""
        return any(attribute == EXCHANGE_HIDDEN for attribute, _ in self.restrictions)

    def for_schema(self, schema: Schema | None) -> str:
        """The filter for a server with this schema, None if unknown.

        An item about an unknown attribute is Undefined, and so is its negation (RFC 4511, section 4.5.1.7): Active
        Directory would find no entry at all. A forest without Exchange does not have Exchange's attribute.
        """
        known = (
            item
            for attribute, item in self.restrictions
            if (schema.can_ask(attribute) if schema else attribute != EXCHANGE_HIDDEN)
        )
        return both(self.wanted, *known)


def both(first: str, *others: str) -> str:
    """A filter for the entries that all of these match."""
    if not others:
        return first
    inner = first[2:-1] if first.startswith("(&") else first
    return f"(&{inner}{''.join(others)})"


def active_directory_filter(include: Mapping[str, bool]) -> EntryFilter:
    """The filter for these switches over the defaults; raises ValueError if no kind of entry is left."""
    switches = {**DEFAULTS, **include}
    return EntryFilter(_kinds(switches), tuple(_restrictions(switches)))


def _kinds(switches: Mapping[str, bool]) -> str:
    """Users and contacts have the category person. A computer has the class user too, but a category of its own."""
    people = [f"(objectClass={name})" for switch, name in ((PEOPLE, "user"), (CONTACTS, "contact")) if switches[switch]]
    people += [] if switches[PEOPLE] else _mailboxes(switches)
    kinds = [f"(&(objectCategory=person){_any(people)})"] if people else []
    kinds += [_COMPUTER] if switches[COMPUTERS] else []
    kinds += ["(&(objectCategory=group)(mail=*))"] if switches[GROUPS] else []
    if not kinds:
        raise ValueError
    return _any(kinds)


def _restrictions(switches: Mapping[str, bool]) -> Iterable[tuple[str, str]]:
    if not switches[DISABLED]:
        # The accounts of rooms and of shared mailboxes are disabled by design.
        yield USER_ACCOUNT_CONTROL, _any([f"(!{DISABLED_ACCOUNT})", *_mailboxes(switches)])
    if not switches[COMPUTERS]:
        # The account of a trusted domain has the class and the category of a person.
        yield USER_ACCOUNT_CONTROL, f"(!{_BIT % _INTERDOMAIN_TRUST})"
    yield "cn", f"(!{_CONFLICT})"
    if not switches[SYSTEM]:
        computers = [_COMPUTER] if switches[COMPUTERS] else []
        yield CRITICAL, _any([*computers, f"(!({CRITICAL}=TRUE))"])
        # A service runs under such an account. A person who has registered a service has an email address.
        yield SERVICE, _any([*computers, f"(!({SERVICE}=*))", "(mail=*)"])
    if not switches[HIDDEN]:
        yield VIEW_HIDDEN, f"(!({VIEW_HIDDEN}=TRUE))"
        yield EXCHANGE_HIDDEN, f"(!({EXCHANGE_HIDDEN}=TRUE))"


def _mailboxes(switches: Mapping[str, bool]) -> list[str]:
    """Positive items: an unknown attribute makes an alternative Undefined, which is no match."""
    types = (number for switch, numbers in _MAILBOXES.items() if switches[switch] for number in numbers)
    return [f"(msExchRecipientTypeDetails={number})" for number in types]


def _any(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"(|{''.join(items)})"
