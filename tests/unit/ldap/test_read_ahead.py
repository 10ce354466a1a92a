"""Pages that come before something else is ready are read in advance, within bounds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contactsync.ldap.protocol.messages import EntryBatch
from contactsync.ldap.search import read_ahead

PAGES = [b"first", b"second", b"third", b"fourth"]


class Reader:
    """Batches of one entry from one buffer, and how many were requested."""

    def __init__(self) -> None:
        self.read = 0

    def batches(self) -> Iterator[EntryBatch]:
        """Overwrite the buffer with each page."""
        buffer = bytearray(10)
        for number, page in enumerate(PAGES):
            self.read += 1
            buffer[:] = page.ljust(10)
            yield EntryBatch([memoryview(buffer)[: len(page)]], references=number)


def octets(batches: Iterator[EntryBatch]) -> list[bytes]:
    """The entries of one batch after the other."""
    return [bytes(entry) for batch in batches for entry in batch.entries]


@pytest.mark.parametrize("ready_after", [1, 2, 3, 4, 99])
def test_nothing_is_lost_or_overwritten(ready_after: int) -> None:
    """All entries come in their order, with the references of their batches."""
    reader = Reader()
    batches = list(read_ahead(reader.batches(), lambda: reader.read >= ready_after))
    assert [batch.references for batch in batches] == [0, 1, 2, 3]
    assert [bytes(batch.entries[0]) for batch in batches[:ready_after]] == PAGES[:ready_after]


def test_reading_ahead_ends_when_the_other_thing_is_ready() -> None:
    """From then on a page is read when the caller requests it."""
    reader = Reader()
    batches = read_ahead(reader.batches(), lambda: reader.read >= 2)
    assert reader.read == 2
    assert octets(batches) == PAGES


def test_reading_ahead_is_bounded() -> None:
    """Something that never becomes ready does not fill the memory."""
    reader = Reader()
    batches = read_ahead(reader.batches(), lambda: False, octets=len(PAGES[0] + PAGES[1]))
    assert reader.read == 2
    assert octets(batches) == PAGES
