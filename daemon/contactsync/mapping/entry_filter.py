"""Which kinds of entries Active Directory's preset lets in, each of which a mapping's `include` switches on or off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contactsync.ldap.schema import EXCHANGE_HIDDEN, USER_ACCOUNT_CONTROL, Schema

PEOPLE, CONTACTS, COMPUTERS, DISABLED, HIDDEN = "people", "contacts", "computers", "disabled", "hidden"
DEFAULTS = {PEOPLE: True, CONTACTS: True, COMPUTERS: False, DISABLED: False, HIDDEN: False}
"""The switches of `include`, and how they stand where nothing is said."""

_BIT = f"({USER_ACCOUNT_CONTROL}:1.2.840.113556.1.4.803:=%d)"
"""LDAP_MATCHING_RULE_BIT_AND ([MS-ADTS], section 3.1.1.3.4.4.1)."""
_ACCOUNTDISABLE, _INTERDOMAIN_TRUST = 0x2, 0x800
"""Bits of userAccountControl ([MS-ADTS], section 2.2.16)."""


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """What finds the wanted entries, and what leaves out some of them: each an attribute and the item about it."""

    wanted: str
    unless: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The filter where every attribute in it is known."""
        return self._text(tuple(item for _, item in self.unless))

    @property
    def looks_for_hidden(self) -> bool:
        """Whether it leaves out those who are hidden from the address lists."""
        return any(attribute == EXCHANGE_HIDDEN for attribute, _ in self.unless)

    def for_schema(self, schema: Schema | None) -> str:
        """The filter for a server with this schema; None for one that is not known.

        An item about an attribute that the server does not know is Undefined, and so is its `not` (RFC 4511, section
        4.5.1.7): Active Directory would find nobody at all. A forest without Exchange lacks Exchange's attribute.
        """
        return self._text(
            tuple(
                item
                for attribute, item in self.unless
                if (schema.can_ask(attribute) if schema else attribute != EXCHANGE_HIDDEN)
            )
        )

    def _text(self, items: tuple[str, ...]) -> str:
        denied = "".join(f"(!{item})" for item in items)
        if not denied:
            return self.wanted
        inner = self.wanted[2:-1] if self.wanted.startswith("(&") else self.wanted
        return f"(&{inner}{denied})"


def active_directory_filter(include: Mapping[str, bool]) -> EntryFilter:
    """The filter for these switches, over the defaults; raises ValueError when it would find nothing."""
    switches = {**DEFAULTS, **include}
    kinds = _kinds(switches)
    unless = [] if switches[DISABLED] else [(USER_ACCOUNT_CONTROL, _BIT % _ACCOUNTDISABLE)]
    if not switches[COMPUTERS]:
        # The account of a trusted domain is no person either, though its class and category are those of one.
        unless.append((USER_ACCOUNT_CONTROL, _BIT % _INTERDOMAIN_TRUST))
    if not switches[HIDDEN]:
        unless.append((EXCHANGE_HIDDEN, f"({EXCHANGE_HIDDEN}=TRUE)"))
    return EntryFilter(kinds, tuple(unless))


def _kinds(switches: Mapping[str, bool]) -> str:
    """A computer is a user by its class and tells itself by its category; users and contacts share theirs."""
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
