"""Decoding one SearchResultEntry: the same as ldap3 for what is well formed, a ProtocolViolation for the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.operation.search import search_result_entry_response_to_dict_fast
from ldap3.protocol.rfc4511 import (
    LDAPDN,
    AttributeDescription,
    AttributeValue,
    PartialAttribute,
    PartialAttributeList,
    SearchResultEntry,
    Vals,
)
from ldap3.utils.asn1 import decode_sequence
from ldap3.utils.asn1 import encode as encode_asn1

from contactsync.errors import ProtocolViolation
from contactsync.ldap.protocol.entry import decode_entry, is_attribute_description

Attributes = list[tuple[str, list[bytes]]]

names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,30}(;lang-[a-z]{2})?", fullmatch=True)
attribute_lists = st.lists(
    st.tuples(names, st.lists(st.binary(max_size=300), max_size=4)),
    max_size=8,
    unique_by=lambda attribute: attribute[0].lower(),
)


def element(tag: int, content: bytes, length_octets: int = 0) -> bytes:
    """One BER element; with `length_octets` its length takes that many octets, leading zeros included."""
    if not length_octets and len(content) < 0x80:
        return bytes((tag, len(content))) + content
    octets = len(content).to_bytes(length_octets or 4, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def encode(dn: bytes, attributes: Attributes, length_octets: int = 0) -> bytes:
    """A SearchResultEntry, all its lengths of one form."""

    def nested(tag: int, *content: bytes) -> bytes:
        return element(tag, b"".join(content), length_octets)

    encoded = (
        nested(0x30, nested(0x04, name.encode()), nested(0x31, *(nested(0x04, value) for value in values)))
        for name, values in attributes
    )
    return nested(0x64, nested(0x04, dn), nested(0x30, *encoded))


def encode_with_pyasn1(dn: str, attributes: Attributes) -> bytes:
    """The same by the ASN.1 classes of ldap3."""
    listed = PartialAttributeList()
    for index, (name, values) in enumerate(attributes):
        vals = Vals()
        for position, value in enumerate(values):
            vals.setComponentByPosition(position, AttributeValue(value))
        attribute = PartialAttribute()
        attribute["type"] = AttributeDescription(name)
        attribute["vals"] = vals
        listed.setComponentByPosition(index, attribute)
    entry = SearchResultEntry()
    entry["object"] = LDAPDN(dn)
    entry["attributes"] = listed
    return bytes(encode_asn1(entry))


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), attribute_lists)
def test_agrees_with_ldap3(dn: str, attributes: Attributes) -> None:
    """An entry encoded by pyasn1 has the DN and the values that ldap3's own decoder finds in it."""
    octets = encode_with_pyasn1(dn, attributes)
    payload = decode_sequence(octets, 0, len(octets))[0][3]
    theirs = search_result_entry_response_to_dict_fast(payload, None, None, check_names=False)
    ours = decode_entry(octets)
    assert ours.dn == theirs["dn"]
    assert ours.attributes == {name.lower(): values or [] for name, values in theirs["raw_attributes"].items()}


@given(attribute_lists, st.integers(1, 9))
def test_lengths_of_any_form(attributes: Attributes, length_octets: int) -> None:
    """A length with more octets than it needs means the same, at every level."""
    assert decode_entry(encode(b"cn=a", attributes, length_octets if length_octets > 1 else 4)) == decode_entry(
        encode(b"cn=a", attributes)
    )


@given(attribute_lists)
def test_decoding_again_is_the_same(attributes: Attributes) -> None:
    """What was learned from an entry changes nothing about the next one; a memoryview is as good as bytes."""
    octets = encode(b"cn=a", attributes)
    first = decode_entry(octets)
    assert decode_entry(memoryview(octets)) == first
    assert first.attributes == {name.lower(): values for name, values in attributes}


@given(attribute_lists, st.data())
def test_cut_off_octets(attributes: Attributes, data: st.DataObject) -> None:
    """An entry that ends early is a protocol violation, wherever it ends."""
    octets = encode(b"cn=anna,dc=example", attributes)
    cut = data.draw(st.integers(0, len(octets) - 1))
    with pytest.raises(ProtocolViolation):
        decode_entry(octets[:cut])


@given(attribute_lists, st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=3)), min_size=1))
def test_altered_octets(attributes: Attributes, changes: list[tuple[int, bytes]]) -> None:
    """Octets changed on the way are an entry or a protocol violation, and nothing else."""
    octets = bytearray(encode(b"cn=anna,dc=example", attributes))
    for position, change in changes:
        start = position % len(octets)
        octets[start : start + len(change)] = change
    try:
        entry = decode_entry(bytes(octets))
    except ProtocolViolation:
        return
    assert sum(len(value) for values in entry.attributes.values() for value in values) < len(octets)


@given(st.binary(max_size=200))
def test_random_octets(octets: bytes) -> None:
    """Octets of no kind are refused with a sentence."""
    with pytest.raises(ProtocolViolation, match="not LDAP"):
        decode_entry(b"\x65" + octets)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x64",
        b"\x64\x00",
        element(0x64, b"") + b"\x00",
        b"\x64\x80\x04\x00\x30\x00\x00\x00",
        b"\x64\x84\x7f\xff\xff\xff\x04\x00\x30\x00",
        element(0x64, element(0x24, element(0x04, b"cn=a")) + element(0x30, b"")),
        element(0x64, element(0x04, b"cn=a") + element(0x31, b"")),
        encode(b"", [("cn", [b"a"])]).replace(b"\x04\x02cn", b"\x04\x7fcn"),
    ],
)
def test_broken_forms(octets: bytes) -> None:
    """Nothing, left-over octets, indefinite and huge lengths, wrong tags: each is a protocol violation."""
    with pytest.raises(ProtocolViolation):
        decode_entry(octets)


@pytest.mark.parametrize(
    "broken",
    [
        b"\x30\x0a\x04\x02cn\x31\x04\x04\x02a",  # the attribute is longer than the list
        b"\x30\x09\x04\x02cn\x31\x03\x04\x03abc",  # the value is longer than its set
        b"\x30\x07\x04\x02cn\x31\x03\x04\x01a",  # the set is longer than the attribute
        b"\x30\x09\x04\x02cn\x31\x03\x02\x01a",  # the value is an integer
    ],
)
def test_broken_attribute_after_its_like(broken: bytes) -> None:
    """An attribute that was read a moment ago gives no credit to a broken one of the same name."""
    for value in (b"a", b"ab", b"abc"):
        decode_entry(encode(b"cn=a", [("cn", [value])]))
    with pytest.raises(ProtocolViolation):
        decode_entry(element(0x64, element(0x04, b"cn=a") + element(0x30, broken)))


def test_header_that_seems_to_be_of_an_only_value() -> None:
    """A length of two octets is no length of one, though the attribute ends where 0x81 octets would."""
    values = [b"", b"x" * 0x77]
    attribute = (
        b"\x30\x81\x80" + element(0x04, b"a") + element(0x31, b"".join(element(0x04, value) for value in values))
    )
    octets = element(0x64, element(0x04, b"cn=a") + element(0x30, attribute, 2))
    for _ in range(2):
        assert decode_entry(octets).attributes == {"a": values}


def test_name_that_is_not_utf8() -> None:
    """Octets of a DN that are not UTF-8 are shown as escapes, and so is a NUL, which PostgreSQL refuses."""
    assert decode_entry(encode(b"cn=\xff\x00a", [])).dn == "cn=\\xff\\00a"


def test_attribute_that_comes_twice() -> None:
    """Two attributes with one description, however it is written, have the values of both."""
    twice = [("mail", [b"1"]), ("sn", [b"x"]), ("Mail", [b"2"]), ("mail", [b"3", b"4"]), ("sn", [b"y"])]
    entry = decode_entry(encode(b"cn=a", twice))
    assert entry.attributes == {"mail": [b"1", b"2", b"3", b"4"], "sn": [b"x", b"y"]}


def test_options_are_kept_and_ranges_are_not() -> None:
    """An option is part of the description; the range of Active Directory is not, it tells of the values."""
    entry = decode_entry(encode(b"cn=a", [("cn;lang-DE", [b"a"]), ("member;range=0-1499", [b"b"])]))
    assert entry.attributes == {"cn;lang-de": [b"a"], "member": [b"b"]}


def test_extension_is_passed_over() -> None:
    """Components after the known ones are ignored, as RFC 4511 section 4 asks."""
    attribute = element(0x30, element(0x04, b"cn") + element(0x31, element(0x04, b"a")) + element(0x80, b"new"))
    octets = element(0x64, element(0x04, b"cn=a") + element(0x30, attribute) + element(0x81, b"newer"))
    assert decode_entry(octets).attributes == {"cn": [b"a"]}


@pytest.mark.parametrize("text", ["mail", "cn;lang-de", "2.5.4.3", "userCertificate;binary", "msDS-cloud_x"])
def test_attribute_descriptions(text: str) -> None:
    """Names and OIDs, with options or without, are attribute descriptions."""
    assert is_attribute_description(text)


@pytest.mark.parametrize("text", ["", "1", "1.", "a b", "cn;", "mail\n", "-a", "é", "a" * 129, "*", "a.b", "cn;ü"])
def test_not_attribute_descriptions(text: str) -> None:
    """What a server would not understand as an attribute description is none."""
    assert not is_attribute_description(text)
