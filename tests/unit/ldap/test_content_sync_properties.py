"""Controls and messages of RFC 4533 are read as by pyasn1, or refused with our own error."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pyasn1.error import PyAsn1Error
from pyasn1.type import namedtype, tag, univ

from contactsync.errors import ProtocolViolation
from contactsync.ldap.protocol.content_sync import (
    REFRESH_AND_PERSIST,
    REFRESH_ONLY,
    SYNC_INFO,
    State,
    read_done,
    read_info,
    read_state,
    sync_request,
)
from contactsync.ldap.protocol.messages import MessageSplitter
from tests.support.decoders import messages
from tests.support.messages import Encoder
from tests.unit.ldap.test_reader_properties import DEEPER, FORMS, PROPERTY, damaged, damages, streams

INTERMEDIATE = 0x79
MEBIBYTE = 1 << 20

uuids = st.binary(min_size=16, max_size=16)
cookies = st.none() | st.binary(max_size=200)
flags = st.none() | st.booleans()


def context(number: int, kind: int = tag.tagFormatConstructed) -> tag.Tag:
    """A context-specific tag."""
    return tag.Tag(tag.tagClassContext, kind, number)


REQUEST = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.NamedType("mode", univ.Enumerated()),
        namedtype.OptionalNamedType("cookie", univ.OctetString()),
        namedtype.DefaultedNamedType("reloadHint", univ.Boolean(False)),  # noqa: FBT003
    )
)
"""The syncRequestValue of section 2.2."""


STATE = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.NamedType("state", univ.Enumerated()),
        namedtype.NamedType("entryUUID", univ.OctetString()),
        namedtype.OptionalNamedType("cookie", univ.OctetString()),
    )
)
"""The syncStateValue of section 2.3."""


DONE = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.OptionalNamedType("cookie", univ.OctetString()),
        namedtype.DefaultedNamedType("refreshDeletes", univ.Boolean(False)),  # noqa: FBT003
    )
)
"""The syncDoneValue of section 2.4."""


PHASE = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.OptionalNamedType("cookie", univ.OctetString()),
        namedtype.DefaultedNamedType("refreshDone", univ.Boolean(True)),  # noqa: FBT003
    )
)
"""The refreshDelete and refreshPresent of section 2.5."""


ID_SET = univ.Sequence(
    componentType=namedtype.NamedTypes(
        namedtype.OptionalNamedType("cookie", univ.OctetString()),
        namedtype.DefaultedNamedType("refreshDeletes", univ.Boolean(False)),  # noqa: FBT003
        namedtype.NamedType("syncUUIDs", univ.SetOf(componentType=univ.OctetString())),
    )
)
"""The syncIdSet of section 2.5."""


INFO = univ.Choice(
    componentType=namedtype.NamedTypes(
        namedtype.NamedType("newcookie", univ.OctetString().subtype(implicitTag=context(0, tag.tagFormatSimple))),
        namedtype.NamedType("refreshDelete", PHASE.subtype(implicitTag=context(1))),
        namedtype.NamedType("refreshPresent", PHASE.subtype(implicitTag=context(2))),
        namedtype.NamedType("syncIdSet", ID_SET.subtype(implicitTag=context(3))),
    )
)
"""The syncInfoValue of section 2.5."""


def boolean(form: Encoder, flag: bool | None) -> bytes:  # noqa: FBT001 -- None leaves it out
    """A BOOLEAN, empty for None."""
    return b"" if flag is None else form.tlv(0x01, b"\xff" if flag else b"\0")


def optional(form: Encoder, cookie: bytes | None) -> bytes:
    """A cookie, empty for None."""
    return b"" if cookie is None else form.string(cookie)


@st.composite
def states(draw: st.DrawFn) -> bytes:
    """A Sync State Control."""
    form = Encoder(draw(FORMS))
    number = bytes((draw(st.sampled_from(State)),))
    return form.tlv(0x30, form.tlv(0x0A, number), form.string(draw(uuids)), optional(form, draw(cookies)))


@st.composite
def ends(draw: st.DrawFn) -> bytes:
    """A Sync Done Control."""
    form = Encoder(draw(FORMS))
    return form.tlv(0x30, optional(form, draw(cookies)), boolean(form, draw(flags)))


@st.composite
def infos(draw: st.DrawFn) -> bytes:
    """The value of a Sync Info Message."""
    form, kind = Encoder(draw(FORMS)), draw(st.integers(0, 3))
    if kind == 0:
        return form.tlv(0x80, draw(st.binary(max_size=200)))
    parts = [optional(form, draw(cookies)), boolean(form, draw(flags))]
    if kind == 3:
        parts.append(form.tlv(0x31, form.string(*draw(st.lists(uuids, max_size=5)))))
    return form.tlv(0xA0 + kind, *parts)


def intermediate(value: bytes) -> bytes:
    """The protocolOp of a Sync Info Message."""
    form = Encoder()
    return form.tlv(INTERMEDIATE, form.tlv(0x80, SYNC_INFO), form.tlv(0x81, value))


def of(component: Any) -> bytes | None:
    """An optional OCTET STRING of pyasn1."""
    return bytes(component) if component.hasValue() else None


def decoded(value: bytes, spec: Any) -> Any:
    """Decode by pyasn1; raises PyAsn1Error."""
    found, rest = decoder.decode(value, asn1Spec=spec)
    if rest:
        raise PyAsn1Error
    return found


def state_agrees(value: bytes) -> None:
    """Compare both readings of a Sync State Control."""
    ours, theirs = read_state(value), decoded(value, STATE)
    assert (ours.state, ours.uuid, ours.cookie) == (
        int(theirs["state"]),
        bytes(theirs["entryUUID"]),
        of(theirs["cookie"]),
    )


def done_agrees(value: bytes) -> None:
    """Compare both readings of a Sync Done Control."""
    ours, theirs = read_done(value), decoded(value, DONE)
    assert (ours.cookie, ours.deletes) == (of(theirs["cookie"]), bool(theirs["refreshDeletes"]))


def info_agrees(value: bytes) -> None:
    """Compare both readings of a Sync Info Message."""
    ours, choice = read_info(intermediate(value)), decoded(value, INFO)
    kind, theirs = choice.getName(), choice.getComponent()
    if ours is None:
        raise ProtocolViolation("another message")
    if kind == "newcookie":
        assert ours.cookie == bytes(theirs)
        return
    assert ours.cookie == of(theirs["cookie"])
    if kind == "syncIdSet":
        assert ours.uuids == tuple(bytes(one) for one in theirs["syncUUIDs"])
        assert ours.deletes == bool(theirs["refreshDeletes"])
        assert not ours.ends_refresh
    else:
        assert (ours.uuids, ours.ends_refresh) == ((), bool(theirs["refreshDone"]))


@PROPERTY
@given(st.sampled_from([REFRESH_ONLY, REFRESH_AND_PERSIST]), cookies)
def test_a_request_is_encoded_as_by_pyasn1(mode: int, cookie: bytes | None) -> None:
    """Octet for octet."""
    request = REQUEST.clone()
    request["mode"] = mode
    if cookie is not None:
        request["cookie"] = cookie
    assert sync_request(mode, cookie) == encoder.encode(request)


@PROPERTY
@given(states(), ends(), infos())
def test_sound_values_are_read_as_by_pyasn1(state: bytes, end: bytes, info: bytes) -> None:
    """Each control and each kind of message, with lengths in every form."""
    state_agrees(state)
    done_agrees(end)
    info_agrees(info)


@DEEPER
@given(states(), ends(), infos(), damages())
def test_damaged_values_are_refused_or_read_as_by_pyasn1(
    state: bytes, end: bytes, info: bytes, changes: list[tuple[str, int, int, bytes]]
) -> None:
    """Only our own error is raised, and both agree about what they accept."""
    for agrees, value in ((state_agrees, state), (done_agrees, end), (info_agrees, info)):
        with suppress(ProtocolViolation, PyAsn1Error):
            agrees(damaged(value, changes))


@PROPERTY
@given(st.binary(max_size=100), st.sampled_from(["", "30", "a3", "80", "3020", "a380"]))
def test_random_octets_raise_nothing_but_our_own_error(octets: bytes, start: str) -> None:
    """As controls, as the value of a message, and as the message itself, also with a correct start."""
    value = bytes.fromhex(start) + octets
    for read in (read_state, read_done, lambda value: read_info(intermediate(value))):
        with suppress(ProtocolViolation):
            read(value)
    with suppress(ProtocolViolation):
        read_info(b"\x79" + octets)


def test_a_state_of_thousands_of_digits_is_refused() -> None:
    """Python refuses to print such a number."""
    form = Encoder()
    with pytest.raises(ProtocolViolation):
        read_state(form.tlv(0x30, form.tlv(0x0A, b"\x7f" * 5000), form.string(b"u" * 16)))


def test_a_string_in_pieces_is_refused() -> None:
    """RFC 4511, section 5.1, allows the primitive form only; pyasn1 would read it as a cookie."""
    form = Encoder()
    with pytest.raises(ProtocolViolation, match="constructed"):
        read_done(form.tlv(0x30, form.tlv(0x24)))


def test_a_set_names_as_many_entries_as_a_message_holds() -> None:
    """A server may name thousands of entries at once."""
    form = Encoder()
    names = [number.to_bytes(16, "big") for number in range(50_000)]
    info = read_info(intermediate(form.tlv(0xA3, boolean(form, True), form.tlv(0x31, form.string(*names)))))  # noqa: FBT003
    assert info is not None
    assert (info.uuids, info.deletes) == (tuple(names), True)


def split(octets: bytes, cuts: list[int]) -> list[tuple[int, bytes]] | str:
    """The messages in octets that arrive in pieces, or the error's message."""
    cutter, found, position, turn = MessageSplitter(MEBIBYTE), list[tuple[int, bytes]](), 0, 0
    try:
        while position < len(octets):
            piece = cuts[turn % len(cuts)]
            found += cutter.add(octets[position : position + piece])
            position, turn = position + piece, turn + 1
    except ProtocolViolation as error:
        return error.message
    return found


CUTS = st.lists(st.integers(1, 300), min_size=1, max_size=8)


@PROPERTY
@given(streams(), CUTS)
def test_messages_are_split_as_by_ldap3(octets: bytes, cuts: list[int]) -> None:
    """Wherever the octets are cut."""
    found = split(octets, cuts)
    assert not isinstance(found, str)
    assert [op for _, op in found] == [
        op for message in messages(octets) for _, op in MessageSplitter(MEBIBYTE).add(message)
    ]
    assert len(found) == len(list(messages(octets)))


@PROPERTY
@given(streams(), damages(), CUTS)
def test_damaged_messages_are_refused_or_split_alike(
    octets: bytes, changes: list[tuple[str, int, int, bytes]], cuts: list[int]
) -> None:
    """The pieces make no difference, and only our own error is raised."""
    harmed = damaged(octets, changes)
    assert split(harmed, cuts) == split(harmed, [len(harmed) + 1])


@PROPERTY
@given(st.binary(max_size=200), CUTS)
def test_random_octets_are_refused_or_split_alike(octets: bytes, cuts: list[int]) -> None:
    """Also with the start of a message."""
    for start in ("", "3020020105", "308400000010"):
        harmed = bytes.fromhex(start) + octets
        assert split(harmed, cuts) == split(harmed, [len(harmed) + 1])


@pytest.mark.parametrize(
    "length", ["84 00 10 00 00", "84 7f ff ff ff", "88 7f ff ff ff ff ff ff ff", "ff" + "ff" * 127]
)
def test_a_message_beyond_a_mebibyte_is_refused_when_it_is_announced(length: str) -> None:
    """Before memory is allocated for it: notifications are short."""
    with pytest.raises(ProtocolViolation):
        MessageSplitter(MEBIBYTE).add(b"\x30" + bytes.fromhex(length))


def test_single_octets_are_not_copied_each_time() -> None:
    """A mebibyte in single octets would otherwise move half a million mebibytes."""
    cutter = MessageSplitter(MEBIBYTE)
    message = Encoder().entry(b"cn=a", [(b"a", [bytes(MEBIBYTE - 100)])])
    assert not any(cutter.add(message[place : place + 1]) for place in range(len(message) - 1))
    assert len(cutter.add(message[-1:])) == 1
