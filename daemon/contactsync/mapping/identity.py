"""The identity of an entry: the text by which its contact is found again after every rename and move.

The first of the identity's attributes that the entry has gives the key, without a prefix, so that the key is what any
LDAP tool shows. It has to have one well-formed value there; an entry that has not is rejected.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from functools import partial

from contactsync.errors import QueryError
from contactsync.ldap import dn
from contactsync.ldap.protocol.entry import Entry

BY_DN = "dn"
"""The identity that is no attribute: the entry's own DN, normalised. A renamed or moved entry is then another one."""

_LINE = b"\n"
_LONGEST_KEY = 1000
"""Octets. An index entry of PostgreSQL holds about 2,700."""
_GUID_SIZE = 16
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NS_UNIQUE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{8}){3}")


class NoIdentityError(ValueError):
    """The entry cannot be recognised; its text is the reason, as a sentence for people."""


def identity_reader(names: tuple[str, ...]) -> Callable[[Entry], str]:
    """A function from an entry to its key, by the first of these attributes that it has; raises NoIdentityError."""
    if names == (BY_DN,):
        return _dn_key
    readers = tuple((name.lower(), key_reader(name)) for name in names)

    def identify(entry: Entry) -> str:
        for attribute, read in readers:
            values = entry.attributes.get(attribute)
            if values:
                return read(values)
        msg = f"The entry has no {' and no '.join(names)}."
        raise NoIdentityError(msg)

    return identify


def key_reader(name: str) -> Callable[[list[bytes]], str]:
    """A function from the values of the attribute `name`, at least one, to the key; raises NoIdentityError."""
    read = _READERS.get(name.lower(), _text_key)

    def only_key(values: list[bytes]) -> str:
        if len(values) > 1:
            msg = f"The attribute {name} has {len(values)} values, where an identity has one."
            raise NoIdentityError(msg)
        try:
            return read(values[0])
        except ValueError:
            msg = f"The value of the attribute {name} is not a well-formed identity."
            raise NoIdentityError(msg) from None

    return only_key


def column_reader(name: str) -> Callable[[list[bytes]], list[str] | None]:
    """The same for one value of each of many entries; None where they have to be read one by one."""
    form = _FORMS.get(name.lower())

    def keys(column: list[bytes]) -> list[str] | None:
        try:
            texts = _LINE.join(column).decode("ascii").lower().split("\n")
        except UnicodeDecodeError:
            return None
        whole = form is not None and len(texts) == len(column) and all(map(form.fullmatch, texts))
        return texts if whole else None

    return keys


def _dn_key(entry: Entry) -> str:
    try:
        return _bounded(dn.comparison_key(_bounded(entry.dn)))
    except (QueryError, ValueError):
        msg = f"The entry's name is not a well-formed DN of at most {_LONGEST_KEY} octets."
        raise NoIdentityError(msg) from None


def _object_guid(raw: bytes) -> str:
    """Active Directory's objectGUID, in the order of octets in which Windows writes it."""
    return str(uuid.UUID(bytes_le=raw))


def _guid(raw: bytes) -> str:
    """The GUID of eDirectory."""
    if len(raw) != _GUID_SIZE:
        raise ValueError
    return raw.hex()


def _formed_key(form: re.Pattern[str], raw: bytes) -> str:
    text = raw.decode("ascii").lower()
    if not form.fullmatch(text):
        raise ValueError
    return text


def _text_key(raw: bytes) -> str:
    """Any other attribute: printable text, taken as it is."""
    text = raw.decode().strip()
    if not text.isprintable():
        raise ValueError
    return _bounded(text)


def _bounded(text: str) -> str:
    if not 0 < len(text.encode()) <= _LONGEST_KEY:
        raise ValueError
    return text


_FORMS: dict[str, re.Pattern[str]] = {
    "entryuuid": _UUID,  # RFC 4530 section 2.1
    "ipauniqueid": _UUID,
    "nsuniqueid": _NS_UNIQUE_ID,  # 389 Directory Server
}
"""The identities that are ASCII text of one form, in lower case."""

_READERS: dict[str, Callable[[bytes], str]] = {
    "objectguid": _object_guid,
    "guid": _guid,
    **{name: partial(_formed_key, form) for name, form in _FORMS.items()},
}
