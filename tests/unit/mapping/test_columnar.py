"""The contract of both implementations: a batch is mapped like each of its entries by the reference, Mapping.map."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contactsync.errors import ProtocolViolation
from contactsync.fields import FIELDS, Kind
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.mapping.mapping import Mapping
from contactsync.model import MappedEntry, RejectedEntry
from contactsync.settings.schema import MappingLimits
from tests.support.messages import Encoder
from tests.unit.mapping.mappings import DEFAULTS, JPEG, KEY, SMALL, mapping_of

ADDRESS, RDN = {"attribute": "a", "as": "address"}, {"attribute": "b", "as": "rdn"}
PLAIN = {name: "c" if kind is Kind.PHOTO else ["a", "b", "c"] for name, kind in FIELDS.items()}
EDITED = {name: "c" if kind is Kind.PHOTO else ["b", ADDRESS, RDN] for name, kind in FIELDS.items()}
TEMPLATES = {"title": ["{a} ({b})", "c"], "emails": ["c", "{a}.{b}"], "notes": "b", "extra.x": "{a}"}

Batch = list[tuple[bytes, bytes]]
Mapped = tuple[list[tuple[Any, ...]], list[RejectedEntry], int]
"""Key, DN, fingerprint and values of each contact; the rejected entries; the number of trimmed values."""

values = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20).map(str.encode),
    st.text("abc ü\u0308\u00a0'\"\\", max_size=12).map(str.encode),
    st.text("a-_ מ😀\u0308\u200b\u200d\u200e\u3164\ufe0f\U000e0067\U000e0100", max_size=6).map(str.encode),
    st.sampled_from([b"", b" ", b"x ", b"\x1f", b"\n", b"\xff", "Zoe\u0308".encode(), JPEG, b"cn=a\\00,dc=x"]),
    st.sampled_from([b"x" * 127, b"y" * 128, b"z" * 300]),
    st.binary(max_size=6),
)
nearly_clean = st.sampled_from(
    [b"-", "\ufe0f".encode(), b"Anna", b"Lee", "Zoë".encode(), "Zoe\u0308".encode(), b" Lee"]
)
dns = st.one_of(st.text("abc,=\\+ü\n\0", max_size=12).map(str.encode), st.binary(max_size=6))


def people_with(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[Any]:
    """Some people with these values."""
    one_or_more = st.one_of(values.map(lambda value: [value]), st.lists(values, max_size=3))
    attributes = st.tuples(st.sampled_from([b"a", b"b", b"c", b"C", b"d;lang-de"]), one_or_more)
    return st.lists(st.tuples(dns, st.lists(attributes, max_size=5)), max_size=8)


people = st.one_of(people_with(values), people_with(nearly_clean))


def batch_of(people: list[tuple[bytes, list[tuple[bytes, list[bytes]]]]]) -> Batch:
    """Fingerprints and encoded entries, each with an entryUUID."""
    return [
        (b"%016d" % row, Encoder().entry_op(dn, [(b"entryUUID", [b"%s%02d" % (KEY[:-2].encode(), row)]), *attributes]))
        for row, (dn, attributes) in enumerate(people)
    ]


def by_reference(mapping: Mapping, batch: Batch) -> Mapped:
    """The results of `Mapping.map` for each entry."""
    results = [mapping.map(fingerprint, decode_entry(octets)) for fingerprint, octets in batch]
    mapped = [result for result in results if isinstance(result, MappedEntry)]
    rows = [(entry.key, entry.dn, entry.fingerprint, *(value or None for value in entry.values)) for entry in mapped]
    rejected = [result for result in results if isinstance(result, RejectedEntry)]
    return rows, rejected, sum(entry.trimmed for entry in mapped)


def by_column(mapping: Mapping, batch: Batch) -> Mapped:
    """The result of `Mapping.map_batch` in the same form."""
    mapped = mapping.map_batch(batch)
    columns = [column or [None] * len(mapped.keys) for column in mapped.columns]
    fields = [[value or None for value in column] for column in columns]
    rows = list(zip(mapped.keys, mapped.dns, mapped.fingerprints, *fields, strict=True))
    return rows, list(mapped.rejected), mapped.trimmed


@pytest.mark.parametrize("identity", ["entryUUID", "dn", ["a", "b"]])
@pytest.mark.parametrize("limits", [DEFAULTS, SMALL])
@pytest.mark.parametrize("fields", [PLAIN, EDITED, TEMPLATES])
@settings(max_examples=30)
@given(people=people.map(lambda few: few * 5))
def test_a_batch_is_mapped_like_its_entries(fields: Any, limits: MappingLimits, identity: Any, people: Any) -> None:
    """Whatever the entries contain: the same contacts and rejected entries, also with known headers."""
    mapping = mapping_of(fields, limits, identity=identity)
    batch = batch_of(people)
    expected = by_reference(mapping, batch)
    assert by_column(mapping, batch) == expected
    assert by_column(mapping, batch) == expected


@settings(max_examples=200)
@given(st.data(), people.filter(len))
def test_damaged_octets_are_refused_by_both_or_mapped_alike(data: st.DataObject, people: Any) -> None:
    """Also by a parser that knows the headers of the undamaged entries."""
    mapping = mapping_of(PLAIN, identity="dn")
    (fingerprint, first), *others = batch = batch_of(people)
    mapping.map_batch(batch)
    octets = bytearray(first)
    for place in data.draw(st.lists(st.integers(0, len(octets) - 1), min_size=1, max_size=3)):
        octets[place] = data.draw(st.integers(0, 255))
    damaged = [(fingerprint, bytes(octets)), *others]
    try:
        expected = by_reference(mapping, damaged)
    except ProtocolViolation:
        with pytest.raises(ProtocolViolation):
            mapping.map_batch(damaged)
        return
    assert by_column(mapping, damaged) == expected
