"""Decoding one SearchResultEntry; test_reader_properties.py compares it with ldap3's decoders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactsync.errors import ProtocolViolation
from contactsync.ldap.protocol.entry import Entry, decode_entry, is_attribute_description
from tests.support.messages import ENTRY, SHORTEST, Encoder

Attributes = list[tuple[bytes, list[bytes]]]

names = st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,30}(;lang-[a-z]{2})?", fullmatch=True)
attribute_lists = st.lists(
    st.tuples(names, st.lists(st.binary(max_size=300), max_size=4)),
    max_size=8,
    unique_by=lambda attribute: attribute[0].lower(),
)


def op(*attributes: bytes, form: int = SHORTEST) -> bytes:
    """The protocolOp of an entry with these encoded attributes."""
    encoder = Encoder([form])
    return encoder.tlv(ENTRY, encoder.string(b"cn=a"), encoder.tlv(0x30, *attributes))


def decoded(*attributes: tuple[bytes, list[bytes]], dn: bytes = b"cn=a") -> Entry:
    """An entry, encoded and decoded."""
    return decode_entry(Encoder().entry_op(dn, attributes))


def tlv(tag: int, *contents: bytes) -> bytes:
    """One element."""
    return Encoder().tlv(tag, *contents)


@given(attribute_lists)
def test_an_entry_keeps_its_values(attributes: Attributes) -> None:
    """Under the descriptions in lower case; a memoryview is decoded as bytes are."""
    octets = Encoder().entry_op(b"cn=a", attributes)
    entry = decode_entry(memoryview(octets))
    assert entry == decode_entry(octets)
    assert entry.attributes == {name.lower().decode(): values for name, values in attributes}


@given(attribute_lists, st.data())
def test_an_entry_that_ends_early_is_refused(attributes: Attributes, data: st.DataObject) -> None:
    """Wherever it ends."""
    octets = Encoder().entry_op(b"cn=a", attributes)
    with pytest.raises(ProtocolViolation):
        decode_entry(octets[: data.draw(st.integers(0, len(octets) - 1))])


@given(st.binary(max_size=200))
def test_octets_of_another_kind_are_refused(octets: bytes) -> None:
    """The error says that they are not LDAP."""
    with pytest.raises(ProtocolViolation, match="not LDAP"):
        decode_entry(b"\x65" + octets)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x64",
        b"\x64\x00",
        tlv(ENTRY) + b"\x00",
        b"\x64\x80\x04\x00\x30\x00\x00\x00",
        b"\x64\x84\x7f\xff\xff\xff\x04\x00\x30\x00",
        tlv(ENTRY, tlv(0x24, tlv(0x04, b"cn=a")), tlv(0x30)),
        tlv(ENTRY, tlv(0x04, b"cn=a"), tlv(0x31)),
        op(Encoder().attribute(b"cn", [b"a"])).replace(b"\x04\x02cn", b"\x04\x7fcn"),
    ],
)
def test_broken_forms_are_refused(octets: bytes) -> None:
    """No octets, left-over octets, indefinite and huge lengths, wrong tags."""
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
def test_a_broken_attribute_is_refused_after_a_sound_one(broken: bytes) -> None:
    """What was read before makes no difference."""
    for value in (b"a", b"ab", b"abc"):
        decoded((b"cn", [value]))
    with pytest.raises(ProtocolViolation):
        decode_entry(op(broken))


def test_a_length_of_two_octets_is_not_taken_for_one() -> None:
    """The attribute ends where 0x81 octets would."""
    values = [b"", b"x" * 0x77]
    attribute = b"\x30\x81\x80" + tlv(0x04, b"a") + tlv(0x31, Encoder().string(*values))
    for _ in range(2):
        assert decode_entry(op(attribute, form=2)).attributes == {"a": values}


def test_odd_octets_of_a_dn_are_escaped() -> None:
    """Octets that are not UTF-8, and a NUL, which PostgreSQL refuses."""
    assert decoded(dn=b"cn=\xff\x00a").dn == "cn=\\xff\\00a"


def test_an_attribute_that_comes_twice_has_the_values_of_both() -> None:
    """In any case of letters."""
    twice = [(b"mail", [b"1"]), (b"sn", [b"x"]), (b"Mail", [b"2"]), (b"mail", [b"3", b"4"]), (b"sn", [b"y"])]
    assert decoded(*twice).attributes == {"mail": [b"1", b"2", b"3", b"4"], "sn": [b"x", b"y"]}


def test_options_are_kept_but_for_ranges() -> None:
    """The range of Active Directory is no part of the description."""
    entry = decoded((b"cn;lang-DE", [b"a"]), (b"member;range=0-1499", [b"b"]))
    assert entry.attributes == {"cn;lang-de": [b"a"], "member": [b"b"]}


def test_additional_components_are_ignored() -> None:
    """RFC 4511, section 4."""
    attribute = tlv(0x30, tlv(0x04, b"cn"), tlv(0x31, tlv(0x04, b"a")), tlv(0x80, b"new"))
    octets = tlv(ENTRY, tlv(0x04, b"cn=a"), tlv(0x30, attribute), tlv(0x81, b"newer"))
    assert decode_entry(octets).attributes == {"cn": [b"a"]}


@pytest.mark.parametrize("text", ["mail", "cn;lang-de", "2.5.4.3", "userCertificate;binary", "msDS-cloud_x"])
def test_attribute_descriptions(text: str) -> None:
    """Names and OIDs, with or without options."""
    assert is_attribute_description(text)


@pytest.mark.parametrize("text", ["", "1", "1.", "a b", "cn;", "mail\n", "-a", "é", "a" * 129, "*", "a.b", "cn;ü"])
def test_other_texts_are_no_attribute_descriptions(text: str) -> None:
    """A server would refuse them."""
    assert not is_attribute_description(text)
