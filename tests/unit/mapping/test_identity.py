"""The key of an entry, and the entries that have none."""

from __future__ import annotations

from typing import Any

import pytest

from contactsync.ldap.protocol.entry import Entry
from contactsync.mapping.mapping import Mapping, compile_mapping
from contactsync.model import MappedEntry, RejectedEntry
from tests.unit.mapping.mappings import DEFAULTS, KEY, mapping_of


def identified_by(identity: Any) -> Mapping:
    """A mapping with this identity."""
    return mapping_of({"title": "title"}, identity=identity)


@pytest.mark.parametrize(
    ("identity", "attribute", "raw", "key"),
    [
        ("entryUUID", "entryuuid", KEY.upper().encode(), KEY),
        ("objectGUID", "objectguid", bytes(range(16)), "03020100-0504-0706-0809-0a0b0c0d0e0f"),
        (
            ["nope", "nsUniqueId"],
            "nsuniqueid",
            b"66446001-1DD211B2-66225011-2EE211DB",
            "66446001-1dd211b2-66225011-2ee211db",
        ),
        ("GUID", "guid", bytes(range(16)), bytes(range(16)).hex()),
        ("mS-DS-ConsistencyGuid", "ms-ds-consistencyguid", bytes(range(16)), "03020100-0504-0706-0809-0a0b0c0d0e0f"),
        ("mS-DS-ConsistencyGuid", "ms-ds-consistencyguid", b"\xfe\xed", "feed"),
        ("msExchMailboxGuid", "msexchmailboxguid", bytes(range(16)), "03020100-0504-0706-0809-0a0b0c0d0e0f"),
        ("objectSid", "objectsid", bytes.fromhex("01020000000000052000000020020000"), "S-1-5-32-544"),
        ("uid", "uid", "jörg".encode(), "jörg"),
    ],
)
def test_identities(identity: Any, attribute: str, raw: bytes, key: str) -> None:
    """Each kind of identity has a canonical text."""
    contact = identified_by(identity).map(b"", Entry("cn=a", {attribute: [raw]}))
    assert isinstance(contact, MappedEntry)
    assert contact.key == key


@pytest.mark.parametrize(
    ("identity", "values"),
    [
        ("entryUUID", None),
        ("entryUUID", []),
        ("entryUUID", [KEY.encode(), KEY.encode()]),
        ("entryUUID", [b""]),
        ("entryUUID", [b"{" + KEY.encode() + b"}"]),
        ("entryUUID", [b"\xff" * 36]),
        ("objectGUID", [KEY.encode()]),
        ("GUID", [b"short"]),
        ("objectSid", [bytes.fromhex("0102000000000005200000002002")]),
        ("objectSid", [b"S-1-5-32-544"]),
        ("msExchMailboxGuid", [b"short"]),
        ("uid", [b"a\x00b"]),
        ("uid", [b" "]),
        ("uid", [b"x" * 1001]),
    ],
)
def test_invalid_identities(identity: str, values: list[bytes] | None) -> None:
    """An entry without exactly one well-formed identity is rejected; the reason names the attribute."""
    attributes = {} if values is None else {identity.lower(): values}
    rejected = identified_by(identity).map(b"", Entry("cn=a", attributes))
    assert isinstance(rejected, RejectedEntry)
    assert (rejected.dn, rejected.key) == ("cn=a", None)
    assert identity in rejected.reason


def test_dn_as_identity() -> None:
    """All spellings of a DN are one identity."""
    mapping = identified_by("dn")

    def key(dn: str) -> str | None:
        contact = mapping.map(b"", Entry(dn, {}))
        return contact.key if isinstance(contact, MappedEntry) else None

    spellings = ['CN="Smith,  John" + UID=1 , DC=X', r"uid=1+cn=smith\, john,dc=x", r"UID=1+CN=Smith\2C john;dc=\78"]
    assert {key(dn) for dn in spellings} == {r"cn=smith\2c john+uid=1,dc=x"}
    assert key(r"cn=smith\00,dc=x") == r"cn=smith\00,dc=x"
    assert [key(dn) for dn in ("", "nonsense", "cn=a,", "cn=a\\", "cn=" + "x" * 1000)] == [None] * 5


def test_the_identity_depends_on_the_server() -> None:
    """Active Directory has its own identity with any preset, and other servers never have it."""
    for preset in ("inetOrgPerson", "none"):
        definition = {"preset": preset, "fields": {"title": "title"}}
        assert compile_mapping(definition, active_directory=True, limits=DEFAULTS).identity == ("objectGUID",)
        assert compile_mapping(definition, active_directory=False, limits=DEFAULTS).identity[0] == "nsUniqueId"
