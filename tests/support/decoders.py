"""Messages decoded by contactsync and by ldap3, in a form that can be compared.

ldap3 has two decoders. The fast one trusts every length, so it is used for sound messages only. The strict one is
pyasn1's with ldap3's specification, and is used for damaged ones too.

These differences are intended and not compared:

- contactsync refuses what LDAP forbids and BER allows: indefinite lengths, constructed strings, numbers of nine octets.
- It ignores additional components, as RFC 4511, section 4, demands; ldap3 refuses them.
- An attribute that comes twice has the values of both; ldap3 has those of the second.
- The option `range` is removed, and octets of a DN that are not UTF-8 are escaped.
- A server's text is shortened to one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from ldap3.protocol.rfc4511 import LDAPMessage
from ldap3.strategy.base import BaseStrategy
from ldap3.utils.asn1 import decode_message_fast, decoder
from pyasn1.error import PyAsn1Error

from contactsync.errors import ProtocolViolation, ServerUnavailable
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.protocol.messages import MessageBuffer
from contactsync.ldap.protocol.requests import PAGED_RESULTS, paging_cookie
from contactsync.ldap.protocol.results import Result
from contactsync.mapping.entry_parser import EntryParser
from tests.support.messages import BIND_RESPONSE, DONE, EXTENDED_RESPONSE, MESSAGE_ID

LIMIT = 1 << 20
REFUSED = (ProtocolViolation, ServerUnavailable)
"""All that the reader may raise."""

PARSED = ("cn", "mail", "objectclass", "member", "cn;lang-de", "2.5.4.3", "jpegphoto")
"""The attributes that `parsed_alike` compares: the names of the fuzzer's seeds."""

_LONGEST_TEXT = 300
_ENTRY, _REFERENCE, _INTERMEDIATE, _EXTENDED = 4, 19, 25, 24
_RESULTS = {1: BIND_RESPONSE, 5: DONE, 24: EXTENDED_RESPONSE}
_NUMBERS = {
    "bindResponse": 1,
    "searchResEntry": _ENTRY,
    "searchResDone": 5,
    "searchResRef": _REFERENCE,
    "extendedResp": _EXTENDED,
    "intermediateResponse": _INTERMEDIATE,
}


@dataclass
class Answer:
    """The messages until the end of the operation or of the octets; entries are protocolOps."""

    entries: list[bytes] = field(default_factory=list)
    references: int = 0
    result: Result | None = None


def read(
    octets: bytes, cuts: Sequence[int] = (1 << 16,), *, capacity: int = 64, limit: int = LIMIT, answer: int = DONE
) -> Answer:
    """Feed the octets in pieces of the sizes in `cuts`, in turn. Raises the reader's errors."""
    buffer, found = MessageBuffer(limit, capacity=capacity), Answer()
    position, sizes = 0, cycle(cuts)
    while True:
        buffer.rewind()
        while not buffer.parse(MESSAGE_ID, answer) and not buffer.full:
            room = buffer.room()
            assert 0 < len(room) <= max(capacity, 2 * position), "room for more than came"
            piece = octets[position : position + min(next(sizes), len(room))]
            room[: len(piece)] = piece
            buffer.filled(len(piece))
            position += len(piece)
            if not piece:
                break
        batch = buffer.take()
        found.entries += [bytes(entry) for entry in batch.entries]
        found.references += batch.references
        found.result = batch.result
        if batch.result or (position == len(octets) and not batch.entries):
            return found


@dataclass(frozen=True)
class Said:
    """The content of one message: an entry, a result, a reference, or nothing."""

    kind: str
    dn: str = ""
    attributes: dict[str, list[bytes]] = field(default_factory=dict)
    code: int = 0
    words: tuple[str, ...] = ()
    cookie: bytes | None = None


NOTHING, A_REFERENCE = Said("nothing"), Said("reference")


def messages(octets: bytes) -> Iterator[bytes]:
    """The complete messages at the start of the octets, split by ldap3."""
    while 0 < (size := BaseStrategy.compute_ldap_message_size(octets)) <= len(octets):
        yield octets[:size]
        octets = octets[size:]


def said_to_us(message: bytes, answer: int = DONE) -> Said:
    """Decode a message by our own reader. Raises the reader's errors."""
    found = read(message, capacity=max(64, len(message)), answer=answer)
    if found.entries:
        entry = decode_entry(found.entries[0])
        assert parsed_alike(found.entries[0]), "an entry is parsed for a batch differently than it is decoded"
        return Said("entry", entry.dn, entry.attributes)
    if found.result:
        control = found.result.controls.get(PAGED_RESULTS)
        cookie = None if control is None else paging_cookie(control)
        words = (found.result.matched_dn, found.result.diagnostic)
        return Said("result", code=found.result.code, words=words, cookie=cookie)
    return A_REFERENCE if found.references else NOTHING


def parsed_alike(octets: bytes) -> bool:
    """Whether the parser of batches finds the values of `decode_entry`, with and without known headers."""
    entry, parser = decode_entry(octets), EntryParser(PARSED)
    return all(
        sorted(parsed.values(0, column)) == sorted(entry.attributes.get(name, ()))
        for parsed in (parser.parse([octets]), parser.parse([octets]))
        for column, name in enumerate(PARSED)
    )


def said_by_fast_decoder(message: bytes) -> Said:
    """Decode a message by ldap3's fast decoder, whose elements are tuples that end in the value."""
    decoded = decode_message_fast(message)
    op, parts = decoded["protocolOp"], [part[3] for part in decoded["payload"]]
    if op == _ENTRY:
        pairs = [(attribute[0][3], [value[3] for value in attribute[1][3]]) for *_, attribute in parts[1]]
        return _entry(parts[0], pairs)
    controls = [[part[3] for part in control] for *_, control in decoded["controls"] or ()]
    return _other(op, decoded["messageID"], parts[:3], {control[0]: control[-1] for control in controls})


def said_by_strict_decoder(message: bytes) -> Said:
    """Decode a message by pyasn1 with ldap3's specification; raises PyAsn1Error."""
    decoded, rest = _decoded(message, asn1Spec=LDAPMessage())
    assert not rest
    name, op = decoded["protocolOp"].getName(), decoded["protocolOp"].getComponent()
    if name == "searchResEntry":
        pairs = [
            (bytes(attribute["type"]), [bytes(value) for value in attribute["vals"]]) for attribute in op["attributes"]
        ]
        return _entry(bytes(op["object"]), pairs)
    controls: dict[bytes, bytes] = {}
    if decoded["controls"].hasValue():
        for control in decoded["controls"]:
            value = control["controlValue"]
            controls[bytes(control["controlType"])] = bytes(value) if value.hasValue() else b""
    number = _NUMBERS[name]
    parts: list[Any] = []
    if number in _RESULTS:
        parts = [int(op["resultCode"]), bytes(op["matchedDN"]), bytes(op["diagnosticMessage"])]
    return _other(number, int(decoded["messageID"]), parts, controls)


def _decoded(octets: bytes, **options: Any) -> Any:
    try:
        return decoder.decode(octets, **options)
    except OverflowError as error:  # of a length that pyasn1 takes as it is
        raise PyAsn1Error(str(error)) from error


def _entry(dn: bytes, pairs: list[tuple[bytes, list[bytes]]]) -> Said:
    attributes: dict[str, list[bytes]] = {}
    for raw, values in pairs:
        first, *options = raw.lower().decode("utf-8", "backslashreplace").split(";")
        name = ";".join([first, *(option for option in options if not option.startswith("range="))])
        attributes.setdefault(name, []).extend(values)
    return Said("entry", dn.decode("utf-8", "backslashreplace").replace("\0", "\\00"), attributes)


def _other(op: int, message_id: int, parts: list[Any], controls: dict[bytes, bytes]) -> Said:
    if op == _REFERENCE:
        return A_REFERENCE
    if op == _INTERMEDIATE or message_id == 0:
        return NOTHING
    code, *words = parts
    control = controls.get(PAGED_RESULTS.encode())
    cookie = None
    if control is not None:
        page, _ = _decoded(control)
        cookie = bytes(page[1])
    return Said("result", code=code, words=tuple(word.decode("utf-8", "replace") for word in words), cookie=cookie)


def agree(ours: Said, theirs: Said) -> bool:
    """Whether two decoders agree."""
    words = len(ours.words) == len(theirs.words) and all(map(_same_words, ours.words, theirs.words))
    return words and _without_words(ours) == _without_words(theirs)


def _same_words(ours: str, theirs: str) -> bool:
    as_it_came = theirs.isprintable() and theirs == theirs.strip() and len(theirs) <= _LONGEST_TEXT
    return ours == theirs if as_it_came else ours.isprintable() and len(ours) <= _LONGEST_TEXT


def _without_words(said: Said) -> tuple[Any, ...]:
    return said.kind, said.dn, said.attributes, said.code, said.cookie
