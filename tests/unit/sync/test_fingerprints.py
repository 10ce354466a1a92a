"""The stored contacts match like a set of fingerprints, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactsync.store.fingerprints import FINGERPRINT_BYTES, StoredContacts

MAX_BYTES = 25
"""For each fingerprint: its 16, a flag for matched, and what a growing array keeps free."""


def fingerprint(number: int) -> bytes:
    """Give a fingerprint that is spread over all values, like that of an entry."""
    return blake2b(number.to_bytes(8, "big"), digest_size=FINGERPRINT_BYTES).digest()


def pieces(octets: bytes, length: int) -> Iterator[bytes]:
    """Cut octets anywhere."""
    return (octets[start : start + length] for start in range(0, len(octets), length))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 31, 500, 4095, 4096, 5000, 70_000])
def test_each_stored_fingerprint_matches_and_no_other(count: int) -> None:
    """The width of the buckets depends on the number."""
    mine = [fingerprint(number) for number in range(count)]
    stored = StoredContacts(sorted(mine))
    assert (len(stored), bool(stored)) == (count, count > 0)
    for first in range(0, count, 1000):
        page = [fingerprint(number) for number in range(first, min(first + 1000, count))]
        strangers = [fingerprint(count + number) for number in range(first, first + 10)]
        assert list(stored.match(strangers + page)) == list(range(10))
    assert list(stored.unmatched()) == []
    assert not stored


@given(
    st.sets(st.binary(min_size=16, max_size=16)),
    st.sets(st.binary(max_size=15), max_size=3),
    st.lists(st.binary(min_size=16, max_size=16)),
    st.data(),
)
def test_it_matches_as_a_set(mine: set[bytes], edited: set[bytes], others: list[bytes], data: st.DataObject) -> None:
    """With unlikely octets, too. A second match of the same fails, and edited contacts remain."""
    page = others + (data.draw(st.lists(st.sampled_from(sorted(mine)))) if mine else [])
    stored, left, expected = StoredContacts(pieces(b"".join(sorted(mine)), 24), edited), set(mine), []
    for index, one in enumerate(page):
        if one in left:
            left.remove(one)
        else:
            expected.append(index)
    assert list(stored.match(page)) == expected
    order = [*sorted(mine), *edited]
    assert {order[number]: one for number, one in stored.unmatched()} == {one: one for one in left | edited}
    assert len(stored) == len(left | edited)


def test_octets_across_two_neighbours_do_not_match() -> None:
    """They may equal the fingerprint of another entry, stored or not."""
    first, second = b"a" * 8 + b"c" * 8, b"b" * 16
    across = first[8:] + second[:8]
    assert list(StoredContacts(sorted([first, second])).match([across, first, second])) == [0]
    stored = StoredContacts(sorted([first, second, across]))
    assert list(stored.match([across, first])) == []
    assert list(stored.unmatched()) == [(1, second)]


def test_it_takes_few_bytes_for_each() -> None:
    """A set of bytes takes over a hundred, and a folder may have a million contacts."""
    count = 100_000
    octets = list(pieces(b"".join(sorted(map(fingerprint, range(count)))), 65_536))
    tracemalloc.start()
    try:
        stored = StoredContacts(octets)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(stored) == count
    assert taken < MAX_BYTES * count
