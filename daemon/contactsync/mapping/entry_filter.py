"""The filter of Active Directory's preset: a mapping's `include` switches kinds of entries on and off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contactsync.ldap.schema import EXCHANGE_HIDDEN, USER_ACCOUNT_CONTROL, Schema

PEOPLE, CONTACTS, COMPUTERS, DISABLED, HIDDEN = "people", "contacts", "computers", "disabled", "hidden"
DEFAULTS = {PEOPLE: True, CONTACTS: True, COMPUTERS: False, DISABLED: False, HIDDEN: False}
"""The switches of `include` with their defaults."""

_BIT = f"({USER_ACCOUNT_CONTROL}:1.2.840.113556.1.4.803:=%d)"
"""LDAP_MATCHING_RULE_BIT_AND ([MS-ADTS], section 3.1.1.3.4.4.1)."""
_ACCOUNTDISABLE, _INTERDOMAIN_TRUST = 0x2, 0x800
"""Bits of userAccountControl ([MS-ADTS], section 2.2.16)."""


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """A filter for the `wanted` entries except those that match an exclusion: an attribute, and a filter about it."""

    wanted: str
    exclusions: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The filter for a server that knows all attributes."""
        return self._text(tuple(item for _, item in self.exclusions))

    @property
    def excludes_hidden(self) -> bool:
        """Whether it excludes entries that are hidden from address lists."""
        return any(attribute == EXCHANGE_HIDDEN for attribute, _ in self.exclusions)

    def for_schema(self, schema: Schema | None) -> str:
        """The filter for a server with this schema, None if unknown.

        An item about an unknown attribute is Undefined, and so is its negation (RFC 4511, section 4.5.1.7): Active
        Directory would find no entry at all. A forest without Exchange does not have Exchange's attribute.
        """
        return self._text(
            tuple(
                item
                for attribute, item in self.exclusions
                if (schema.can_ask(attribute) if schema else attribute != EXCHANGE_HIDDEN)
            )
        )

    def _text(self, items: tuple[str, ...]) -> str:
        if not items:
            return self.wanted
        inner = self.wanted[2:-1] if self.wanted.startswith("(&") else self.wanted
        return f"(&{inner}{''.join(f'(!{item})' for item in items)})"


def active_directory_filter(include: Mapping[str, bool]) -> EntryFilter:
    """The filter for these switches over the defaults; raises ValueError if no kind of entry is left."""
    switches = {**DEFAULTS, **include}
    kinds = _kinds(switches)
    exclusions = [] if switches[DISABLED] else [(USER_ACCOUNT_CONTROL, _BIT % _ACCOUNTDISABLE)]
    if not switches[COMPUTERS]:
        # The account of a trusted domain has the class and the category of a person.
        exclusions.append((USER_ACCOUNT_CONTROL, _BIT % _INTERDOMAIN_TRUST))
    if not switches[HIDDEN]:
        exclusions.append((EXCHANGE_HIDDEN, f"({EXCHANGE_HIDDEN}=TRUE)"))
    return EntryFilter(kinds, tuple(exclusions))


def _kinds(switches: Mapping[str, bool]) -> str:
    """Users and contacts have the category person. A computer has the class user too, but a category of its own."""
    classes = [
        f"(objectClass={name})" for switch, name in ((PEOPLE, "user"), (CONTACTS, "contact")) if switches[switch]
    ]
    kinds = [f"(&(objectCategory=person){_any(classes)})"] if classes else []
    kinds += ["(objectCategory=computer)"] if switches[COMPUTERS] else []
    if not kinds:
        raise ValueError
    return _any(kinds)


def _any(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"(|{''.join(items)})"
