"""What is known of a folder's contacts is small, and says what a set would."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactsync.store.fingerprints import FINGERPRINT_BYTES, Fingerprints
from tests.support.fingerprints import known

MOST_OCTETS = 25
"""For each fingerprint: its 16, one that says whether it was met, and what a growing array keeps free."""


def fingerprint(number: int) -> bytes:
    """One that is spread over all values, as an entry's is."""
    return blake2b(number.to_bytes(8, "big"), digest_size=FINGERPRINT_BYTES).digest()


def in_pieces(octets: bytes, length: int) -> Iterator[bytes]:
    """Cut anywhere."""
    return (octets[start : start + length] for start in range(0, len(octets), length))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 31, 500, 4095, 4096, 5000, 70_000])
def test_those_that_are_known_are_met_and_no_others(count: int) -> None:
    """Whatever their number, which decides how they are looked for; each is found among all, in pages of any order."""
    mine = [fingerprint(number) for number in range(count)]
    fingerprints = known(mine)
    assert (len(fingerprints), bool(fingerprints)) == (count, count > 0)
    for first in range(0, count, 1000):
        page = [fingerprint(number) for number in range(first, min(first + 1000, count))]
        strangers = [fingerprint(count + number) for number in range(first, first + 10)]
        assert list(fingerprints.match(strangers + page)) == list(range(10))
    assert list(fingerprints) == []
    assert not fingerprints


@given(
    st.sets(st.binary(min_size=16, max_size=16)),
    st.sets(st.binary(max_size=15), max_size=3),
    st.lists(st.binary(min_size=16, max_size=16)),
    st.data(),
)
def test_it_says_what_a_set_would(
    mine: set[bytes], others: set[bytes], strangers: list[bytes], data: st.DataObject
) -> None:
    """Also with octets that no hash is likely to have; one that comes a second time is unknown, and others stay."""
    page = strangers + (data.draw(st.lists(st.sampled_from(sorted(mine)))) if mine else [])
    fingerprints, left, unknown = Fingerprints(in_pieces(b"".join(sorted(mine)), 24), others), set(mine), []
    for place, one in enumerate(page):
        if one in left:
            left.remove(one)
        else:
            unknown.append(place)
    assert list(fingerprints.match(page)) == unknown
    assert sorted(one for _, one in fingerprints) == sorted(left | others)
    all_of_them = [*sorted(mine), *others]
    assert [all_of_them[place] for place, _ in fingerprints] == [one for _, one in fingerprints]
    assert len(fingerprints) == len(left | others)


def test_the_end_of_one_and_the_beginning_of_the_next_are_none() -> None:
    """They may be the octets of another entry's, known or not."""
    first, second = b"a" * 8 + b"c" * 8, b"b" * 16
    between = first[8:] + second[:8]
    assert list(known([first, second]).match([between, first, second])) == [0]
    fingerprints = known([first, second, between])
    assert list(fingerprints.match([between, first])) == []
    assert list(fingerprints) == [(1, second)]


def test_it_takes_no_more_than_a_few_octets_for_each() -> None:
    """A set of bytes takes over a hundred, and a folder may have a million."""
    count = 100_000
    pieces = list(in_pieces(b"".join(sorted(map(fingerprint, range(count)))), 65_536))
    tracemalloc.start()
    try:
        fingerprints = Fingerprints(pieces)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(fingerprints) == count
    assert taken < MOST_OCTETS * count
