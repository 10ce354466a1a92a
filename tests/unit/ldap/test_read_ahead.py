"""Pages that come before the fingerprints are there are read already, within bounds, and keep what was in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contactsync.ldap.protocol.messages import EntryBatch
from contactsync.ldap.search import read_ahead

PAGES = [b"first", b"second", b"third", b"fourth"]


class Reader:
    """Batches of one entry out of one buffer, as the wire gives them, and how many were asked for."""

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
    """The entries, looked at one batch after the other."""
    return [bytes(entry) for batch in batches for entry in batch.entries]


@pytest.mark.parametrize("ready_after", [1, 2, 3, 4, 99])
def test_nothing_is_lost_or_overwritten(ready_after: int) -> None:
    """All entries come in their order with what else their batches held, whenever the other thing is ready."""
    reader = Reader()
    batches = list(read_ahead(reader.batches(), lambda: reader.read >= ready_after))
    assert [batch.references for batch in batches] == [0, 1, 2, 3]
    assert [bytes(batch.entries[0]) for batch in batches[:ready_after]] == PAGES[:ready_after]


def test_no_more_is_read_than_has_to_be_waited_for() -> None:
    """As soon as the other thing is ready, reading goes on only as the caller asks."""
    reader = Reader()
    batches = read_ahead(reader.batches(), lambda: reader.read >= 2)
    assert reader.read == 2
    assert octets(batches) == PAGES


def test_what_is_kept_is_bounded() -> None:
    """Something that never gets ready does not fill the memory."""
    reader = Reader()
    batches = read_ahead(reader.batches(), lambda: False, octets=len(PAGES[0] + PAGES[1]))
    assert reader.read == 2
    assert octets(batches) == PAGES
