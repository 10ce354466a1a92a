"""The reader agrees with ldap3's decoders about sound messages, and never contradicts them about damaged ones."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.error import PyAsn1Error

from tests.support.decoders import (
    REFUSED,
    Answer,
    agree,
    messages,
    read,
    said_by_fast_decoder,
    said_by_strict_decoder,
    said_to_us,
)
from tests.support.messages import BIND_RESPONSE, DONE, ENTRY, EXTENDED_RESPONSE, SHORTEST, Attributes, Encoder

PROPERTY = settings(deadline=None)
DEEPER = settings(PROPERTY, max_examples=300)

FORMS = st.lists(st.sampled_from([SHORTEST, SHORTEST, 1, 2, 3, 4, 8]), min_size=1, max_size=7)
CUTS = st.lists(st.integers(1, 300), max_size=8).map(lambda cuts: [*cuts, 1 << 13])
CAPACITIES = st.integers(16, 4000) | st.just(1 << 20)
EDGES = [0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000]
"""Lengths around which one more octet is needed."""

values = st.binary(max_size=40) | st.sampled_from(EDGES).map(lambda size: (b"0123456789abcdef" * size)[:size])
names = st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,30}(;lang-[a-z]{2})?|[0-2](\.[0-9]{1,5}){1,6}", fullmatch=True)
attributes = st.lists(
    st.tuples(names, st.lists(values, max_size=4)), max_size=6, unique_by=lambda attribute: attribute[0].lower()
)
dns = st.text().map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=40)
uris = st.lists(st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")), min_size=1, max_size=12)
words = st.text(max_size=400).map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=40)
controls = st.lists(st.tuples(names, st.none() | st.binary(max_size=20)), max_size=2)
codes = st.sampled_from([0, 1, 3, 4, 10, 11, 32, 49, 51, 52, 80])


class Stream(bytes):
    """Octets whose representation is short when a test fails."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{len(self)} octets: {self[:2000].hex(' ')}"


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """The responses to a search: entries, other messages between them, and the result."""
    encoder = Encoder(draw(FORMS))
    kinds = {
        "entry": lambda: encoder.entry(draw(dns), draw(attributes), draw(controls)),
        "reference": lambda: encoder.reference(*draw(uris)),
        "intermediate": lambda: encoder.intermediate(draw(names), draw(values)),
        "notification": lambda: encoder.notification(b"1.2.3.4"),
    }
    order = draw(st.lists(st.sampled_from(["entry", "entry", *kinds]), max_size=6))
    result = encoder.ldap_result(draw(codes), draw(words), draw(words), draw(st.just([]) | uris))
    page = [encoder.page(draw(values))] if draw(st.booleans()) else []
    return Stream(b"".join([*(kinds[kind]() for kind in order), encoder.done(result, [*draw(controls), *page])]))


@PROPERTY
@given(streams(), CUTS, CAPACITIES)
def test_the_responses_to_a_search_are_read_as_by_ldap3(octets: bytes, cuts: list[int], capacity: int) -> None:
    """Entries, references, result and cookie, wherever the octets are cut."""
    whole = read(octets, cuts, capacity=capacity)
    said = [said_to_us(message) for message in messages(octets)]

    for message, ours in zip(messages(octets), said, strict=True):
        assert agree(ours, said_by_fast_decoder(message))
        assert agree(ours, said_by_strict_decoder(message))
    assert whole.result is not None
    assert len(whole.entries) == sum(ours.kind == "entry" for ours in said)
    assert whole.references == sum(ours.kind == "reference" for ours in said)
    assert said[-1].kind == "result"


@pytest.mark.parametrize("tag", [BIND_RESPONSE, EXTENDED_RESPONSE])
@PROPERTY
@given(FORMS, codes, words, words, controls)
def test_other_responses_are_read_as_by_ldap3(
    tag: int, forms: list[int], code: int, matched_dn: bytes, said: bytes, others: list[tuple[bytes, bytes | None]]
) -> None:
    """Those to a bind and to an extended operation."""
    encoder = Encoder(forms)
    octets = encoder.done(encoder.ldap_result(code, matched_dn, said), others, tag=tag)

    ours = said_to_us(octets, answer=tag)

    assert ours.kind == "result"
    assert agree(ours, said_by_fast_decoder(octets))
    assert agree(ours, said_by_strict_decoder(octets))


def test_a_value_whose_length_takes_four_octets() -> None:
    """Sixteen mebibytes, with the limit at the last octet of the message."""
    photo = bytes(range(256)) * 0x10000
    octets = Encoder().entry(b"cn=a", [(b"jpegPhoto", [photo])])
    assert octets[1] == 0x84

    found = read(octets + Encoder().done(), [1 << 20], capacity=1 << 16, limit=len(octets))

    assert len(found.entries) == 1
    assert found.entries[0].endswith(photo)


@st.composite
def damages(draw: st.DrawFn) -> list[tuple[str, int, int, bytes]]:
    """Some changes to octets: kind, place, length, new octets."""
    kind = st.sampled_from(["flip", "flip", "flip", "write", "cut", "insert", "repeat"])
    change = st.tuples(kind, st.integers(0, 5000), st.integers(1, 60), st.binary(min_size=1, max_size=4))
    return draw(st.lists(change, min_size=1, max_size=3))


def damaged(octets: bytes, changes: list[tuple[str, int, int, bytes]]) -> bytes:
    """The octets after these changes."""
    found = bytearray(octets)
    for kind, place, reach, written in changes:
        start = place % (len(found) + 1)
        stop = start + reach
        if kind == "flip" and start < len(found):
            found[start] ^= 1 << reach % 8
        elif kind == "write":
            found[start : start + len(written)] = written
        elif kind == "cut":
            del found[start:stop]
        elif kind == "insert":
            found[start:start] = written
        elif kind == "repeat":
            found[start:start] = found[start:stop]
    return bytes(found)


small_attributes = st.lists(st.tuples(names, st.lists(st.binary(max_size=20), max_size=3)), max_size=4)


@PROPERTY
@given(st.lists(small_attributes, max_size=3), FORMS, damages(), CUTS, CAPACITIES)
def test_damaged_octets_are_refused_or_read_as_by_ldap3(
    entries: list[Attributes],
    forms: list[int],
    changes: list[tuple[str, int, int, bytes]],
    cuts: list[int],
    capacity: int,
) -> None:
    """Only our own errors are raised, the pieces make no difference, and ldap3 agrees about each message."""
    encoder = Encoder(forms)
    end = encoder.done(encoder.ldap_result(0, b"o=a", b"well", [b"ldap://a/"]), [encoder.page(b"more")])
    sound = [*(encoder.entry(b"cn=anna", attributes) for attributes in entries), encoder.reference(b"ldap://a/"), end]
    octets = damaged(b"".join(sound), changes)

    assert outcome(octets, cuts, capacity) == outcome(octets, [1 << 16], 1 << 16)
    for message in messages(octets):
        assert_agreement(message)


@DEEPER
@given(small_attributes, FORMS, damages())
def test_a_damaged_entry_is_refused_or_read_as_by_ldap3(
    listed: Attributes, forms: list[int], changes: list[tuple[str, int, int, bytes]]
) -> None:
    """The lengths around the damage are correct."""
    encoder = Encoder(forms)
    contents = b"".join(encoder.attribute(name, values) for name, values in listed)
    parts = encoder.string(b"cn=anna"), encoder.tlv(0x30, damaged(contents, changes))

    assert_agreement(encoder.message(encoder.tlv(ENTRY, *parts)))


@DEEPER
@given(FORMS, damages(), damages())
def test_a_damaged_result_is_refused_or_read_as_by_ldap3(
    forms: list[int],
    changes: list[tuple[str, int, int, bytes]],
    changes_of_controls: list[tuple[str, int, int, bytes]],
) -> None:
    """The result, or its controls."""
    encoder = Encoder(forms)
    result = encoder.ldap_result(10, b"o=a", b"elsewhere", [b"ldap://a/", b"ldap://b/"])
    page = encoder.control(*encoder.page(b"more"))

    assert_agreement(encoder.message(encoder.tlv(DONE, damaged(result, changes)), encoder.tlv(0xA0, page)))
    harmed = encoder.tlv(0xA0, damaged(page, changes_of_controls))
    assert_agreement(encoder.message(encoder.tlv(DONE, result), harmed))


@PROPERTY
@given(st.binary(max_size=200), CUTS)
def test_random_octets_are_refused_or_read(octets: bytes, cuts: list[int]) -> None:
    """Also with a start that makes them a message."""
    for start in ("", "3020 020105 64", "3020 020105 65", "3084 00000010 020100"):
        message = bytes.fromhex(start) + octets
        assert outcome(message, cuts, 64) == outcome(message, [1 << 16], 1 << 16)


def assert_agreement(message: bytes) -> None:
    """Either decoder may refuse a message, but they must agree if both accept it, also the second time."""
    with suppress(*REFUSED, PyAsn1Error):
        ours = said_to_us(message)
        assert said_to_us(message) == ours
        assert agree(ours, said_by_strict_decoder(message))


def outcome(octets: bytes, cuts: list[int], capacity: int) -> Answer | str:
    """The answer, or the error's message."""
    try:
        return read(octets, cuts, capacity=capacity)
    except REFUSED as error:
        return error.message
