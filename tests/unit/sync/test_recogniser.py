"""Unchanged entries are told by their octets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactsync.store.fingerprints import FINGERPRINT_BYTES, StoredContacts
from contactsync.sync.recogniser import Batch, Recogniser

IDENTITY, OTHER_IDENTITY = b"i" * 16, b"o" * 16


def views(*entries: bytes) -> list[memoryview]:
    """Entries as the wire hands them out: slices of one buffer."""
    buffer, slices, start = memoryview(b"".join(entries)), [], 0
    for entry in entries:
        slices.append(buffer[start : start + len(entry)])
        start += len(entry)
    return slices


def fingerprints(*entries: bytes, identity: bytes = IDENTITY) -> set[bytes]:
    """What a first run would store for these entries."""
    return {fingerprint for fingerprint, _ in Recogniser(StoredContacts(), identity).changed(views(*entries))}


def test_a_first_run_hands_out_every_entry_with_its_fingerprint() -> None:
    """The octets are copies, and the fingerprints are 16 bytes and tell the entries apart."""
    recogniser = Recogniser(StoredContacts(), IDENTITY)
    buffer = bytearray(b"onetwo")

    found = recogniser.changed([memoryview(buffer)[:3], memoryview(buffer)[3:]])
    buffer[:] = b"xxxxxx"

    assert [octets for _, octets in found] == [b"one", b"two"]
    assert len({fingerprint for fingerprint, _ in found}) == 2
    assert {len(fingerprint) for fingerprint, _ in found} == {FINGERPRINT_BYTES}
    assert (recogniser.entries_seen, recogniser.unchanged, len(recogniser.stored)) == (2, 0, 0)


@given(st.sets(st.binary(min_size=1), max_size=20), st.sets(st.binary(min_size=1), max_size=20))
def test_only_what_changed_is_handed_out_and_what_is_gone_stays_unseen(before: set[bytes], now: set[bytes]) -> None:
    """Entries of both runs are unchanged, new ones come out, and old ones are left over."""
    recogniser = Recogniser(StoredContacts(sorted(fingerprints(*before))), IDENTITY)

    found = [octets for entry in now for _, octets in recogniser.changed(views(entry))]

    assert set(found) == now - before
    assert {one for _, one in recogniser.stored.unmatched()} == fingerprints(*(before - now))
    assert (recogniser.entries_seen, recogniser.unchanged) == (len(now), len(now & before))


def test_another_identity_makes_every_entry_new() -> None:
    """The digest of what makes the key is part of the fingerprint."""
    recogniser = Recogniser(StoredContacts(sorted(fingerprints(b"one"))), OTHER_IDENTITY)

    assert len(recogniser.changed(views(b"one"))) == 1
    assert {one for _, one in recogniser.stored.unmatched()} == fingerprints(b"one")


def test_everything_is_handed_out_when_the_mapping_is_another_one() -> None:
    """The known entries come with the fingerprint that is stored already, and what is gone is still left over."""
    before = fingerprints(b"one", b"gone")
    recogniser = Recogniser(StoredContacts(sorted(before)), IDENTITY, everything=True)

    found = recogniser.changed(views(b"one", b"two"))

    assert [octets for _, octets in found] == [b"one", b"two"]
    assert found[0][0] in before
    assert {one for _, one in recogniser.stored.unmatched()} == fingerprints(b"gone")


@pytest.mark.parametrize(("entries", "octets"), [(1000, 10), (2, 1 << 20)])
def test_a_lot_is_full_by_entries_or_by_octets(entries: int, octets: int) -> None:
    """Many small entries and few large ones both end it; what was put aside comes out once, in order."""
    lot, given = Batch(), [(b"%d" % number, bytes(octets // 2 + 1)) for number in range(entries)]
    for entry in given[:-1]:
        lot.add([entry])
    assert not lot.full
    lot.add(given[-1:])
    assert lot.full
    assert lot.take() == given
    assert not lot
    assert not lot.full


def test_the_same_octets_a_second_time_are_not_known() -> None:
    """A directory that sends an entry twice is noticed."""
    recogniser = Recogniser(StoredContacts(sorted(fingerprints(b"one"))), IDENTITY)

    assert [octets for _, octets in recogniser.changed(views(b"one", b"one"))] == [b"one"]
    assert (recogniser.entries_seen, recogniser.unchanged) == (2, 1)


def test_the_known_fingerprints_are_taken_over() -> None:
    """They are in memory once, whatever the folder's size."""
    before = StoredContacts(sorted(fingerprints(b"one")))
    recogniser = Recogniser(before, IDENTITY)
    recogniser.changed(views(b"one"))

    assert recogniser.stored is before
    assert not before
