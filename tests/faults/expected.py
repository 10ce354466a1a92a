"""The contacts that a folder must have, computed from the directory in the simplest way, without code of contactsync.

ldap3 reads the directory, and the few fields are written by hand after docs/reference/mapping.md.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import PEOPLE_FILTER, SyncedFolder

_TEXTS = {
    "display_name": ("displayName", "cn"),
    "given_name": ("givenName",),
    "family_name": ("sn",),
    "title": ("title",),
    "organization": ("o",),
    "notes": ("description",),
    "city": ("l",),
}
_LISTS = {"emails": "mail", "work_phones": "telephoneNumber", "mobile_phones": "mobile"}
_WITH_LINES = {"notes"}
_CONTROLS = re.compile(r"[\x00-\x1f]+")
_ATTRIBUTES = ["entryUUID", *{name for names in _TEXTS.values() for name in names}, *_LISTS.values()]

Contact = dict[str, Any]


def recomputed(
    slapd: PrivateSlapd, *, base: str | None = None, search_filter: str = PEOPLE_FILTER
) -> dict[str, Contact]:
    """The contacts by their identity, as the preset for inetOrgPerson makes them of the entries found."""
    admin = slapd.connection()
    admin.search(base or slapd.suffix, search_filter, attributes=_ATTRIBUTES)
    entries = {entry["raw_attributes"]["entryUUID"][0].decode(): entry for entry in admin.response}
    admin.unbind()
    return {key: _contact(entry["dn"], entry["raw_attributes"]) for key, entry in entries.items()}


def _contact(dn: str, attributes: dict[str, list[bytes]]) -> Contact:
    contact: Contact = {"source_dn": dn}
    for field, names in _TEXTS.items():
        texts = [text for name in names for text in _values(attributes, name)]
        if field not in _WITH_LINES:
            texts = [_CONTROLS.sub(" ", text) for text in texts]
        contact[field] = texts[0] if texts else None
    for field, name in _LISTS.items():
        contact[field] = _values(attributes, name)
    return contact


def _values(attributes: dict[str, list[bytes]], name: str) -> list[str]:
    """Values that are not blank, sorted by their octets, in normalization form C."""
    texts = [unicodedata.normalize("NFC", octets.decode()).strip() for octets in sorted(attributes.get(name, []))]
    return [text for text in texts if text]


def brought(folder: SyncedFolder) -> dict[str, Contact]:
    """The same of the contacts that came from the folder's definition."""
    fields = ["source_dn", *_TEXTS, *_LISTS]
    rows = folder.query("SELECT * FROM contactsync.contacts WHERE definition_id = %s", folder.definition_id)
    return {row["source_key"]: {field: row[field] for field in fields} for row in rows}
