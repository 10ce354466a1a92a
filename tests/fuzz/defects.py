"""Runs the fuzzer on a reader with a defect: `python -m tests.fuzz.defects DEFECT` and options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from unittest.mock import patch

from tests.fuzz import reader

# isort: split
# The target must import these first, so that atheris can instrument them.
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.entry import Entry, decode_entry
from contactsync.ldap.protocol.messages import MessageBuffer
from contactsync.mapping.entry_parser import EntryParser, ParsedBatch


def believes_lengths() -> None:
    """An element may end behind the one that contains it."""

    def element_at(octets: bytes, position: int, _end: int) -> ber.Element:
        start, length = position + 2, octets[position + 1]
        if length > ber.LONG_FORM:
            start += length - ber.LONG_FORM
            length = int.from_bytes(octets[position + 2 : start], "big")
        return ber.Element(octets[position], start, start + length)

    patch("contactsync.ldap.protocol.ber.element_at", element_at).start()
    patch("contactsync.ldap.protocol.entry.element_at", element_at).start()


def keeps_one_value() -> None:
    """Only the last value of an attribute is kept."""

    def decode(op: bytes) -> Entry:
        entry = decode_entry(op)
        return Entry(entry.dn, {name: values[-1:] for name, values in entry.attributes.items()})

    patch("tests.support.decoders.decode_entry", decode).start()


def parses_one_value() -> None:
    """A batch has only the first of an attribute's values."""

    class Careless(EntryParser):
        def parse(self, entries: Iterable[bytes]) -> ParsedBatch:
            parsed = super().parse(entries)
            for columns in parsed.multi_values.values():
                columns.update({column: values[:1] for column, values in columns.items()})
            return parsed

    patch("tests.support.decoders.EntryParser", Careless).start()


def makes_too_much_room() -> None:
    """The buffer is larger than requested."""

    class Roomy(MessageBuffer):
        def __init__(self, max_message_bytes: int, *, capacity: int) -> None:
            super().__init__(max_message_bytes, capacity=capacity + (1 << 16))

    patch("tests.support.decoders.MessageBuffer", Roomy).start()


def loses_an_octet() -> None:
    """A read of one octet is not counted."""

    class Forgetful(MessageBuffer):
        def filled(self, octets: int) -> None:
            super().filled(0 if octets == 1 else octets)

    patch("tests.support.decoders.MessageBuffer", Forgetful).start()


DEFECTS: dict[str, Callable[[], None]] = {
    make.__name__: make
    for make in (believes_lengths, keeps_one_value, parses_one_value, makes_too_much_room, loses_an_octet)
}

if __name__ == "__main__":
    DEFECTS[sys.argv.pop(1)]()
    reader.main()
