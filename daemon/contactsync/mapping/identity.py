"""The key of an entry: the text that identifies its contact after every rename and move.

The key comes from the first of the identity's attributes that the entry has. It has no prefix, so that LDAP tools show
the same text. An entry is rejected if that attribute does not have exactly one well-formed value.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable
from functools import partial

from contactsync.errors import QueryError
from contactsync.ldap import dn
from contactsync.ldap.protocol.entry import Entry

BY_DN = "dn"
"""The identity by the normalised DN instead of an attribute. A renamed or moved entry is then another contact."""

_LINE = b"\n"
_MAX_KEY_BYTES = 1000
"""An index entry of PostgreSQL holds about 2,700."""
_GUID_BYTES = 16
_SID_HEADER_BYTES = 8
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NS_UNIQUE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{8}){3}")


class NoIdentityError(ValueError):
    """The entry has no valid key; the text says why, in a sentence."""


class Identity:
    """Reads the keys of entries. `attributes` are its names in lower case, none for BY_DN."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = {} if names == (BY_DN,) else {name.lower(): name for name in names}
        self._readers = {attribute: _READERS.get(attribute, _text_key) for attribute in self._names}
        self.attributes = tuple(self._names)

    def key(self, entry: Entry) -> str:
        """The key of an entry; raises NoIdentityError."""
        if not self._names:
            return _dn_key(entry.dn)
        for attribute in self.attributes:
            values = entry.attributes.get(attribute)
            if values:
                return self.key_of(attribute, values)
        raise NoIdentityError(f"The entry has no {' and no '.join(self._names.values())}.")

    def key_of(self, attribute: str, values: list[bytes]) -> str:
        """The key by the values of one of the attributes, at least one; raises NoIdentityError."""
        name = self._names[attribute]
        if len(values) > 1:
            raise NoIdentityError(f"The attribute {name} has {len(values)} values; an identity needs exactly one.")
        try:
            return self._readers[attribute](values[0])
        except ValueError:
            raise NoIdentityError(f"The value of the attribute {name} is not a well-formed identity.") from None

    def keys(self, attribute: str, column: list[bytes]) -> list[str] | None:
        """The key of each value of an attribute; None unless all values are text of the attribute's pattern."""
        pattern = _PATTERNS.get(attribute)
        try:
            keys = _LINE.join(column).decode("ascii").lower().split("\n")
        except UnicodeDecodeError:
            return None
        return keys if pattern and len(keys) == len(column) and all(map(pattern.fullmatch, keys)) else None


def _dn_key(entry_dn: str) -> str:
    try:
        return _bounded(dn.comparison_key(_bounded(entry_dn)))
    except (QueryError, ValueError):
        raise NoIdentityError(f"The entry's DN is not well-formed or has more than {_MAX_KEY_BYTES} bytes.") from None


def _object_guid(raw: bytes) -> str:
    """Active Directory's objectGUID, with its octets in the order that Windows shows."""
    return str(uuid.UUID(bytes_le=raw))


def _edirectory_guid(raw: bytes) -> str:
    if len(raw) != _GUID_BYTES:
        raise ValueError
    return raw.hex()


def _consistency_guid(raw: bytes) -> str:
    """Octets of any length: Entra Connect writes an objectGUID, other tools what they like."""
    return _object_guid(raw) if len(raw) == _GUID_BYTES else _bounded(raw.hex())


def _sid(raw: bytes) -> str:
    """A security identifier in the form S-1-5-21-... ([MS-DTYP], section 2.4.2)."""
    if len(raw) < _SID_HEADER_BYTES or raw[0] != 1 or len(raw) != _SID_HEADER_BYTES + 4 * raw[1]:
        raise ValueError
    authority = int.from_bytes(raw[2:_SID_HEADER_BYTES], "big")
    parts = struct.unpack(f"<{raw[1]}I", raw[_SID_HEADER_BYTES:])
    return "-".join(["S-1", str(authority), *map(str, parts)])


def _pattern_key(pattern: re.Pattern[str], raw: bytes) -> str:
    text = raw.decode("ascii").lower()
    if not pattern.fullmatch(text):
        raise ValueError
    return text


def _text_key(raw: bytes) -> str:
    text = raw.decode().strip()
    if not text.isprintable():
        raise ValueError
    return _bounded(text)


def _bounded(text: str) -> str:
    if not 0 < len(text.encode()) <= _MAX_KEY_BYTES:
        raise ValueError
    return text


_PATTERNS: dict[str, re.Pattern[str]] = {
    "entryuuid": _UUID,  # RFC 4530 section 2.1
    "ipauniqueid": _UUID,
    "nsuniqueid": _NS_UNIQUE_ID,  # 389 Directory Server
}
"""The identities that are ASCII text of one pattern, in lower case."""

_READERS: dict[str, Callable[[bytes], str]] = {
    "objectguid": _object_guid,
    "guid": _edirectory_guid,
    "ms-ds-consistencyguid": _consistency_guid,
    "objectsid": _sid,
    **dict.fromkeys(("msexchmailboxguid", "msexcharchiveguid"), _object_guid),
    **{name: partial(_pattern_key, pattern) for name, pattern in _PATTERNS.items()},
}
