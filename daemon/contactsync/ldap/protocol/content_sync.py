"""Controls and messages of the Content Synchronization Operation (RFC 4533, section 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from contactsync.ldap.protocol import ber

SYNC_REQUEST = "1.3.6.1.4.1.4203.1.9.1.1"
SYNC_STATE = "1.3.6.1.4.1.4203.1.9.1.2"
SYNC_DONE = "1.3.6.1.4.1.4203.1.9.1.3"
SYNC_INFO = b"1.3.6.1.4.1.4203.1.9.1.4"

REFRESH_ONLY, REFRESH_AND_PERSIST = 1, 3
"""The modes of a Sync Request (section 2.2)."""

_NEW_COOKIE, _REFRESH_DELETE, _REFRESH_PRESENT, _ID_SET = 0x80, 0xA1, 0xA2, 0xA3
_RESPONSE_NAME, _RESPONSE_VALUE = 0x80, 0x81
_SET = 0x31
_UUID_OCTETS = 16
_FALSE = b"\0"


class State(IntEnum):
    """The state of an entry (section 2.3)."""

    PRESENT = 0
    ADD = 1
    MODIFY = 2
    DELETE = 3


_STATES = {bytes((state,)): state for state in State}


@dataclass(frozen=True, slots=True)
class SyncState:
    """The Sync State Control of an entry; `uuid` has 16 octets."""

    state: State
    uuid: bytes
    cookie: bytes | None


@dataclass(frozen=True, slots=True)
class SyncDone:
    """The Sync Done Control (section 2.4); `deletes`: all deleted entries were named."""

    cookie: bytes | None
    deletes: bool


@dataclass(frozen=True, slots=True)
class SyncInfo:
    """A Sync Info Message (section 2.5).

    `uuids` are of deleted entries (`deletes`) or of unchanged ones. `ends_refresh`: from now on changes are sent when
    they happen.
    """

    cookie: bytes | None = None
    uuids: tuple[bytes, ...] = ()
    deletes: bool = False
    ends_refresh: bool = False


def sync_request(mode: int, cookie: bytes | None) -> bytes:
    """The value of a Sync Request Control."""
    parts = [ber.encode_integer(mode, ber.ENUMERATED)]
    if cookie is not None:
        parts.append(ber.encode(ber.OCTET_STRING, cookie))
    return ber.encode(ber.SEQUENCE, *parts)


def read_state(value: bytes) -> SyncState:
    """Parse a Sync State Control; raises ProtocolViolation."""
    parts = _parts(value, ber.SEQUENCE)
    if [tag for tag, _ in parts[:2]] != [ber.ENUMERATED, ber.OCTET_STRING]:
        raise ber.not_ldap("a Sync State Control has no state")
    state = _STATES.get(parts[0][1])
    if state is None:
        raise ber.not_ldap("a Sync State Control has an unknown state")
    return SyncState(state, _uuid(parts[1][1]), _first(parts[2:], ber.OCTET_STRING))


def read_done(value: bytes) -> SyncDone:
    """Parse a Sync Done Control; raises ProtocolViolation."""
    parts = _parts(value, ber.SEQUENCE)
    return SyncDone(_first(parts, ber.OCTET_STRING), _boolean(parts, default=False))


def read_info(op: bytes) -> SyncInfo | None:
    """Parse an intermediate response (RFC 4511, section 4.13); None for other ones. Raises ProtocolViolation."""
    outer = dict(_parts(op, op[0]))
    if outer.get(_RESPONSE_NAME) != SYNC_INFO or not outer.get(_RESPONSE_VALUE):
        return None
    value = outer[_RESPONSE_VALUE]
    kind = value[0]
    if kind == _NEW_COOKIE:
        element = _only_element(value)
        return SyncInfo(value[element.start : element.stop])
    parts = _parts(value, kind)
    cookie = _first(parts, ber.OCTET_STRING)
    if kind == _ID_SET:
        uuids = tuple(_uuid(uuid) for tag, ids in parts if tag == _SET for uuid in _octet_strings(ids))
        return SyncInfo(cookie, uuids, deletes=_boolean(parts, default=False))
    if kind in {_REFRESH_DELETE, _REFRESH_PRESENT}:
        return SyncInfo(cookie, ends_refresh=_boolean(parts, default=True))
    raise ber.not_ldap(f"a Sync Info Message has the unknown tag 0x{kind:02x}")


def _parts(value: bytes, tag: int) -> list[tuple[int, bytes]]:
    """The tags and contents of the elements inside `value`, which has this tag."""
    outer = _only_element(value)
    if outer.tag != tag:
        raise ber.not_ldap(f"an element has the tag 0x{outer.tag:02x} instead of 0x{tag:02x}")
    return [(part.tag, value[part.start : part.stop]) for part in ber.elements(value, outer.start, outer.stop)]


def _only_element(value: bytes) -> ber.Element:
    element = ber.element_at(value, 0, len(value))
    if element.stop != len(value):
        raise ber.not_ldap("octets are left over after a value")
    return element


def _octet_strings(value: bytes) -> Iterator[bytes]:
    """Without the limit of `ber.elements`: one message may name thousands of entries."""
    position = 0
    while position < len(value):
        element = ber.element_at(value, position, len(value))
        if element.tag != ber.OCTET_STRING:
            raise ber.not_ldap(f"an element has the tag 0x{element.tag:02x} instead of a UUID's")
        yield value[element.start : element.stop]
        position = element.stop


def _first(parts: list[tuple[int, bytes]], wanted: int) -> bytes | None:
    return next((contents for tag, contents in parts if tag == wanted), None)


def _boolean(parts: list[tuple[int, bytes]], *, default: bool) -> bool:
    octets = _first(parts, ber.BOOLEAN)
    if octets is None:
        return default
    if len(octets) != 1:
        raise ber.not_ldap(f"a BOOLEAN has {len(octets)} octets")
    return octets != _FALSE


def _uuid(octets: bytes) -> bytes:
    if len(octets) != _UUID_OCTETS:
        raise ber.not_ldap(f"a UUID has {len(octets)} octets")
    return octets
