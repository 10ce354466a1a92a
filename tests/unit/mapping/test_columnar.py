"""Mapping many entries at once gives what mapping each of them gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contactsync.errors import ProtocolViolation
from contactsync.fields import FIELDS, Kind
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.mapping.mapping import Mapping, compile_mapping
from contactsync.model import MappedBatch, MappedEntry
from contactsync.settings.schema import MappingLimits
from tests.unit.ldap.test_entry import encode

JPEG = b"\xff\xd8\xff\xe0 a picture"
KEY = b"0c0ffee0-1111-4222-8333-4444555566"
ADDRESS, RDN = {"attribute": "a", "as": "address"}, {"attribute": "b", "as": "rdn"}
PLAIN = {name: "c" if kind is Kind.PHOTO else ["a", "b", "c"] for name, kind in FIELDS.items()}
EDITED = {name: "c" if kind is Kind.PHOTO else ["b", ADDRESS, RDN] for name, kind in FIELDS.items()}
TEMPLATES = {"title": ["{a} ({b})", "c"], "emails": ["c", "{a}.{b}"], "notes": "b", "extra.x": "{a}"}
SMALL = MappingLimits(text_bytes=64, values=3, photo_bytes=50)

values = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20).map(str.encode),
    st.text("abc ü\u0308\u00a0'\"\\", max_size=12).map(str.encode),
    st.sampled_from([b"", b" ", b"\x1f", b"\n", b"\xff", b"x" * 127, b"y" * 128, b"z" * 300, JPEG, b"cn=a\\00,dc=x"]),
    st.binary(max_size=6),
)
one_or_more = st.one_of(values.map(lambda value: [value]), st.lists(values, max_size=3))
dns = st.one_of(st.text("abc,=\\+ü\n\0", max_size=12).map(str.encode), st.binary(max_size=6))
people = st.tuples(
    dns, st.lists(st.tuples(st.sampled_from(["a", "b", "c", "C", "d;lang-de"]), one_or_more), max_size=5)
)


def mapping_of(fields: dict[str, Any], limits: MappingLimits, identity: Any) -> Mapping:
    """A mapping of these fields and no others."""
    definition = {"preset": "none", "identity": identity, "fields": fields}
    return compile_mapping(definition, active_directory=False, limits=limits)


def one_by_one(mapping: Mapping, batch: list[tuple[bytes, bytes]]) -> tuple[list[MappedEntry], list[Any], int]:
    """What `map` makes of each entry: contacts, rejected entries, and how many values were trimmed."""
    outcomes = [mapping.map(fingerprint, decode_entry(octets)) for fingerprint, octets in batch]
    mapped = [outcome for outcome in outcomes if isinstance(outcome, MappedEntry)]
    rejected = [outcome for outcome in outcomes if not isinstance(outcome, MappedEntry)]
    return mapped, rejected, sum(entry.trimmed for entry in mapped)


def rows(batch: MappedBatch) -> list[tuple[Any, ...]]:
    """The same shape as a MappedEntry for each row, blank as None."""
    count = len(batch.keys)
    columns = [column or [None] * count for column in batch.columns]
    assert {len(column) for column in columns} <= {count}
    values = [tuple(value or None for value in row) for row in zip(*columns, strict=True)] if columns else [()] * count
    return [(*row[:3], *row[3]) for row in zip(batch.keys, batch.dns, batch.fingerprints, values, strict=True)]


def with_keys(people: list[tuple[bytes, Any]]) -> list[tuple[bytes, bytes]]:
    """Encoded entries that have an entryUUID each, with made-up fingerprints."""
    return [
        (b"%016d" % number, encode(dn, [("entryUUID", [KEY + b"%02d" % number]), *attributes]))
        for number, (dn, attributes) in enumerate(people)
    ]


@pytest.mark.parametrize("limits", [MappingLimits(), SMALL])
@pytest.mark.parametrize("fields", [PLAIN, EDITED, TEMPLATES])
@settings(max_examples=50)
@given(people=st.lists(people, max_size=8).map(lambda some: some * 5))
def test_all_at_once_is_as_one_by_one(fields: Any, limits: MappingLimits, people: list[tuple[bytes, Any]]) -> None:
    """Whatever the entries hold, and one odd value among many: the same keys, names, values and counts."""
    mapping = mapping_of(fields, limits, "entryUUID")
    batch = with_keys(people)

    together = mapping.map_batch(batch)

    mapped, rejected, trimmed = one_by_one(mapping, batch)
    assert rows(together) == [
        (entry.key, entry.dn, entry.fingerprint, *(value or None for value in entry.values)) for entry in mapped
    ]
    assert list(together.rejected) == rejected
    assert together.trimmed == trimmed
    assert rows(mapping.map_batch(batch)) == rows(together), "what a batch taught must not change the next one"


@settings(max_examples=50)
@given(st.lists(people, max_size=8), st.sampled_from(["dn", ["a"], ["a", "b"]]))
def test_entries_without_a_key_are_rejected_and_the_others_keep_their_values(people: Any, identity: Any) -> None:
    """Rows that fall out do not shift a value to somebody else."""
    mapping = mapping_of({"title": ["b", "c"], "emails": "b", "notes": "{c}!"}, MappingLimits(), identity)
    batch = [(b"%016d" % number, encode(dn, attributes)) for number, (dn, attributes) in enumerate(people)]

    together = mapping.map_batch(batch)

    mapped, rejected, trimmed = one_by_one(mapping, batch)
    assert [row[0] for row in rows(together)] == [entry.key for entry in mapped]
    assert [row[3:] for row in rows(together)] == [tuple(value or None for value in entry.values) for entry in mapped]
    assert (list(together.rejected), together.trimmed) == (rejected, trimmed)


@pytest.mark.parametrize("name", ["displayName", "mail", None])
def test_nobody_is_without_a_display_name(name: str | None) -> None:
    """Among people with names, one without is called by what else there is."""
    named = (b"cn=A,dc=x", [("displayName", [b"Anna"])])
    batch = with_keys([named, (b"cn=B,dc=x", [(name, [b"b@x.org"])] if name else []), named])
    together = compile_mapping(None, active_directory=False, limits=MappingLimits()).map_batch(batch)
    assert [row[3] for row in rows(together)] == ["Anna", "b@x.org" if name else "B", "Anna"]


@settings(max_examples=200)
@given(st.data(), st.lists(people, min_size=1, max_size=3))
def test_broken_octets_are_refused_as_by_the_plain_decoder(data: st.DataObject, people: Any) -> None:
    """An entry with some octets changed is refused by both ways or understood by both, whatever was learned before."""
    mapping = mapping_of(PLAIN, MappingLimits(), "dn")
    (_, first), *others = batch = [(b"f" * 16, encode(dn, attributes)) for dn, attributes in people]
    mapping.map_batch(batch)
    octets = bytearray(first)
    for place in data.draw(st.lists(st.integers(0, len(octets) - 1), min_size=1, max_size=3)):
        octets[place] = data.draw(st.integers(0, 255))
    broken = [(b"f" * 16, bytes(octets)), *others]
    try:
        mapped, rejected, trimmed = one_by_one(mapping, broken)
    except ProtocolViolation:
        with pytest.raises(ProtocolViolation):
            mapping.map_batch(broken)
        return
    together = mapping.map_batch(broken)
    assert [row[3:] for row in rows(together)] == [tuple(value or None for value in entry.values) for entry in mapped]
    assert (list(together.rejected), together.trimmed) == (rejected, trimmed)
