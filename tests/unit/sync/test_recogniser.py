"""Unchanged entries are recognised by their octets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactsync.store.fingerprints import FINGERPRINT_BYTES, StoredContacts
from contactsync.sync.recogniser import Batch, Recogniser

IDENTITY, OTHER_IDENTITY = b"i" * 16, b"o" * 16


def views(*entries: bytes) -> list[memoryview]:
    """Entries as the connection returns them: slices of one buffer."""
    buffer, slices, start = memoryview(b"".join(entries)), [], 0
    for entry in entries:
        slices.append(buffer[start : start + len(entry)])
        start += len(entry)
    return slices


def fingerprints(*entries: bytes) -> set[bytes]:
    """The fingerprints that a first run would store for these entries."""
    return {fingerprint for fingerprint, _ in Recogniser(StoredContacts(), IDENTITY).changed(views(*entries))}


def recogniser_after(*entries: bytes, identity: bytes = IDENTITY, everything: bool = False) -> Recogniser:
    """The recogniser of a run after one that read these entries."""
    return Recogniser(StoredContacts(sorted(fingerprints(*entries))), identity, everything=everything)


def unmatched(recogniser: Recogniser) -> set[bytes]:
    """The stored fingerprints that no entry had."""
    return {fingerprint for _, fingerprint in recogniser.stored.unmatched()}


def test_a_first_run_gets_every_entry_with_its_fingerprint() -> None:
    """The octets are copies; the fingerprints have 16 bytes and differ."""
    recogniser = Recogniser(StoredContacts(), IDENTITY)
    buffer = bytearray(b"onetwo")
    changed = recogniser.changed([memoryview(buffer)[:3], memoryview(buffer)[3:]])
    buffer[:] = b"xxxxxx"
    assert [octets for _, octets in changed] == [b"one", b"two"]
    assert len({fingerprint for fingerprint, _ in changed}) == 2
    assert {len(fingerprint) for fingerprint, _ in changed} == {FINGERPRINT_BYTES}
    assert (recogniser.entries_seen, recogniser.unchanged, len(recogniser.stored)) == (2, 0, 0)


@given(st.sets(st.binary(min_size=1), max_size=20), st.sets(st.binary(min_size=1), max_size=20))
def test_changed_entries_come_out_and_contacts_without_an_entry_stay_unmatched(
    before: set[bytes], after: set[bytes]
) -> None:
    """Entries of both runs are unchanged."""
    recogniser = recogniser_after(*before)
    changed = {octets for entry in after for _, octets in recogniser.changed(views(entry))}
    assert changed == after - before
    assert unmatched(recogniser) == fingerprints(*(before - after))
    assert (recogniser.entries_seen, recogniser.unchanged) == (len(after), len(after & before))


def test_another_identity_makes_every_entry_changed() -> None:
    """The digest of the identity rules is part of the fingerprint."""
    recogniser = recogniser_after(b"one", identity=OTHER_IDENTITY)
    assert len(recogniser.changed(views(b"one"))) == 1
    assert unmatched(recogniser) == fingerprints(b"one")


def test_another_mapping_makes_every_entry_changed() -> None:
    """An entry that was read before keeps its fingerprint; contacts without an entry stay unmatched."""
    recogniser = recogniser_after(b"one", b"gone", everything=True)
    changed = recogniser.changed(views(b"one", b"two"))
    assert [octets for _, octets in changed] == [b"one", b"two"]
    assert {changed[0][0]} == fingerprints(b"one")
    assert unmatched(recogniser) == fingerprints(b"gone")


@pytest.mark.parametrize(("entries", "octets"), [(1000, 10), (2, 1 << 20)])
def test_a_batch_is_full_by_entries_or_by_octets(entries: int, octets: int) -> None:
    """It returns its entries once, in order."""
    batch, given = Batch(), [(b"%d" % number, bytes(octets // 2 + 1)) for number in range(entries)]
    for entry in given[:-1]:
        batch.add([entry])
    assert not batch.full
    batch.add(given[-1:])
    assert batch.full
    assert batch.take() == given
    assert not batch
    assert not batch.full


def test_the_second_of_two_equal_entries_is_changed() -> None:
    """A directory that sends an entry twice is detected."""
    recogniser = recogniser_after(b"one")
    assert [octets for _, octets in recogniser.changed(views(b"one", b"one"))] == [b"one"]
    assert (recogniser.entries_seen, recogniser.unchanged) == (2, 1)


def test_the_stored_fingerprints_are_not_copied() -> None:
    """There may be millions."""
    stored = StoredContacts(sorted(fingerprints(b"one")))
    recogniser = Recogniser(stored, IDENTITY)
    recogniser.changed(views(b"one"))
    assert recogniser.stored is stored
    assert not stored
