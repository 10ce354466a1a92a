"""The values of a contact by the values of its entry."""

from __future__ import annotations

import uuid
from typing import Any
from unicodedata import is_normalized, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactsync.fields import FIELDS, Kind, kind_of
from contactsync.ldap.protocol.entry import Entry
from contactsync.mapping.mapping import Mapping, compile_mapping
from contactsync.model import MappedEntry, RejectedEntry
from tests.unit.mapping.mappings import DEFAULTS, JPEG, KEY, SMALL, mapping_of


def mapped(mapping: Mapping, dn: str = "cn=Anna,dc=example", **attributes: Any) -> MappedEntry:
    """The contact of an entry with an identity and these attributes (text, octets, or lists of them)."""
    entry = Entry(dn, {"entryuuid": [KEY.encode()]})
    for name, values in attributes.items():
        listed = values if isinstance(values, list) else [values]
        entry.attributes[name.lower()] = [value.encode() if isinstance(value, str) else value for value in listed]
    contact = mapping.map(b"f" * 16, entry)
    assert isinstance(contact, MappedEntry)
    return contact


def by_field(mapping: Mapping, contact: MappedEntry) -> dict[str, Any]:
    """The values that are not blank, by field."""
    return {field: value for field, value in zip(mapping.fields, contact.values, strict=True) if value}


def test_person_of_an_ldap_directory() -> None:
    """The preset fills every field that it has an attribute for."""
    mapping = mapping_of()
    contact = mapped(
        mapping,
        cn="Anna Lee",
        givenName="Anna",
        sn="Lee",
        mail=["b@example.org", "a@example.org"],
        facsimileTelephoneNumber="+44 1$fineResolution",
        departmentNumber="42",
        manager="cn=Smith\\, John,ou=People",
        postalAddress="1 High St$Anytown $ $UK",
        labeledURI="https://example.org Home page",
        jpegPhoto=JPEG,
        description="One\nTwo",
    )
    assert by_field(mapping, contact) == {
        "display_name": "Anna Lee",
        "given_name": "Anna",
        "family_name": "Lee",
        "emails": ["a@example.org", "b@example.org"],
        "fax_numbers": ["+44 1"],
        "department": "42",
        "manager": "Smith, John",
        "street": "1 High St\nAnytown\nUK",
        "websites": ["https://example.org"],
        "notes": "One\nTwo",
        "photo": JPEG,
    }
    assert (contact.key, contact.fingerprint, contact.trimmed) == (KEY, b"f" * 16, 0)


def test_person_of_active_directory() -> None:
    """The primary address comes first, and the phones come from both kinds of attributes."""
    mapping = compile_mapping(None, active_directory=True, limits=DEFAULTS)
    guid = uuid.UUID(KEY)
    entry = Entry(
        "CN=Anna,DC=example",
        {
            "objectguid": [guid.bytes_le],
            "cn": [b"Anna"],
            "proxyaddresses": [b"smtp:a@x.org", b"X400:c=US", b"SMTP:z@x.org", b"sip:a@x.org"],
            "mail": [b"Z@x.org"],
            "telephonenumber": [b"9"],
            "othertelephone": [b"3", b"1"],
        },
    )
    contact = mapping.map(b"f" * 16, entry)
    assert isinstance(contact, MappedEntry)
    assert contact.key == KEY
    assert by_field(mapping, contact) == {
        "display_name": "Anna",
        "emails": ["z@x.org", "a@x.org"],
        "work_phones": ["9", "1", "3"],
    }
    assert "1.2.840.113556.1.4.803:=2" in str(mapping.filter)


ADDRESS = {"attribute": "a", "as": "address"}
RDN = {"attribute": "a", "as": "rdn"}
LARGE = JPEG + bytes(50)
WEBP = b"RIFF1234WEBP"


@pytest.mark.parametrize(
    ("field", "sources", "attributes", "expected", "trimmed"),
    [
        # A text has the first source that is not blank, and there the first of the sorted values.
        ("title", ["a", "b"], {"a": [" ", ""], "b": ["z", "y"]}, "y", 0),
        ("title", ["a", "{b}!", "c"], {"c": "c"}, "c", 0),
        ("title", ["a", "{b}!", "c"], {"b": "b", "c": "c"}, "b!", 0),
        # A list has the values of all sources in their order, each once regardless of case.
        ("emails", ["b", "a"], {"a": ["1", "X"], "b": ["x", "3"]}, ["3", "x", "1"], 0),
        ("emails", ["a", "{a}.{b}", "b"], {"a": "1", "b": "2"}, ["1", "1.2", "2"], 0),
        # Edits.
        ("title", RDN, {"a": rb"CN=Smith\, John,OU=x"}, "Smith, John", 0),
        ("title", RDN, {"a": rb'CN="Smith, John"+UID=1,OU=x'}, "Smith, John", 0),
        ("title", RDN, {"a": rb"CN=J\C3\BCrgen \ , OU=x"}, "Jürgen", 0),
        ("title", RDN, {"a": b"no name"}, "no name", 0),
        ("title", ADDRESS, {"a": rb"10\24 Street$ Town"}, "10$ Street, Town", 0),
        ("title", {"attribute": "a", "as": "fax"}, {"a": b"123$x$y"}, "123", 0),
        ("title", {"attribute": "a", "as": "uri"}, {"a": b" https://x.org My page"}, "https://x.org", 0),
        ("title", {"attribute": "a", "as": "smtp"}, {"a": b"Smtp:a@x.org"}, "a@x.org", 0),
        # Blank values and outer white space.
        ("title", "a", {"a": b""}, None, 0),
        ("title", "a", {"a": b" \t\xc2\xa0"}, None, 0),
        ("title", "a", {"a": b" Anna "}, "Anna", 0),
        # A value that is not UTF-8 is dropped; the others stay.
        ("title", "a", {"a": b"\xff\xfe"}, None, 1),
        ("title", "a", {"a": [b"\x80", b"x"]}, "x", 0),
        ("emails", "a", {"a": [b"\xff", b"a@x.org"]}, ["a@x.org"], 1),
        # Control characters; line breaks and tabs stay in a field of several lines.
        ("title", "a", {"a": b"Anna\x00Lee"}, "AnnaLee", 1),
        ("title", "a", {"a": b"Anna\r\nLee\x07"}, "Anna Lee", 1),
        ("notes", "a", {"a": b"one\r\ntwo\rthree\t!"}, "one\ntwo\nthree\t!", 0),
        ("notes", "a", {"a": b"one\r\n\x07two"}, "one\n two", 1),
        # NFC: a letter with a mark is one character.
        ("title", "a", {"a": "Zoe\u0308"}, "Zoë", 0),
        # A photo is the first picture of a known format that is not too large.
        ("photo", "a", {"a": b""}, None, 0),
        ("photo", ["a", "b"], {"a": b"BM a bitmap", "b": WEBP}, WEBP, 1),
    ],
)
def test_the_value_of_a_field(field: str, sources: Any, attributes: Any, expected: Any, trimmed: int) -> None:
    """By the rules in contactsync.mapping.mapping."""
    contact = mapped(mapping_of({field: sources}), **attributes)
    assert (contact.values[0], contact.trimmed) == (expected, trimmed)


@pytest.mark.parametrize(
    ("field", "sources", "attributes", "expected", "trimmed"),
    [
        ("title", "a", {"a": "x" * 65}, "x" * 64, 1),
        ("title", "a", {"a": "ü" * 33}, "ü" * 32, 1),
        ("title", "a", {"a": "x" + "🙂" * 16}, "x" + "🙂" * 15, 1),
        ("emails", "a", {"a": ["5", "4", "3", "2", "1"]}, ["1", "2", "3"], 2),
        ("emails", ["a", "b", "{b}"], {"a": ["1", "2", "3"], "b": "4"}, ["1", "2", "3"], 2),
        ("photo", "a", {"a": [LARGE, JPEG]}, JPEG, 0),
        ("photo", "a", {"a": LARGE}, None, 1),
    ],
)
def test_limits(field: str, sources: Any, attributes: Any, expected: Any, trimmed: int) -> None:
    """Of 64 bytes in a text, three values in a list and 50 bytes in a photo."""
    contact = mapped(mapping_of({field: sources}, SMALL), **attributes)
    assert (contact.values[0], contact.trimmed) == (expected, trimmed)


def test_a_long_text_and_a_long_list() -> None:
    """NFC applies to a long text too; of ten thousand values the first hundred are kept."""
    assert mapped(mapping_of({"title": "a"}), a="Zoe\u0308 " * 1000).values == (("Zoë " * 1000).strip(),)
    values = [f"{number:05}" for number in range(10_000)]
    contact = mapped(mapping_of({"emails": "a"}), a=values[::-1])
    assert (contact.values, contact.trimmed) == ((values[:100],), 9_900)


@pytest.mark.parametrize(
    ("dn", "attributes", "expected"),
    [
        ("cn=Anna,dc=x", {"mail": ["b@x.org", "a@x.org"]}, "a@x.org"),
        ("cn=An\\00na+uid=1,dc=x", {}, "Anna"),
        ("cn=A,dc=x", {"displayName": "\0"}, "A"),
        ("", {}, KEY),
    ],
)
def test_display_name_is_never_blank(dn: str, attributes: dict[str, Any], expected: str) -> None:
    """A contact without a name has its email, the value of its RDN, or its key instead."""
    assert mapped(mapping_of(), dn, **attributes).values[0] == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # Pasted characters, at the ends and inside.
        ("\u200bIda Lenz\ufeff", "Ida Lenz"),
        ("\u202a+39 333 5550\u202c", "+39 333 5550"),
        ("an\u00adna@ex\u2060ample.org\u200e", "anna@example.org"),
        ("An\u200dna\ufe0f \u034fLe\U000e0067\U000e0062e", "Anna Lee"),
        ("Anna\u200c", "Anna"),
        ("\u2066Anna\u2069 Lee", "Anna Lee"),
        ("Anna\u3164", "Anna"),
        # Spaces.
        ("01\u00a055\u202f50", "01 55 50"),
        ("Anna\u2028Lee", "Anna Lee"),
        ("山田\u3000太郎", "山田\u3000太郎"),
        # What a script or an emoji needs.
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("שלום\u200e (ABC) שלום", "שלום\u200e (ABC) שלום"),
        ("葛\U000e0100城", "葛\U000e0100城"),
        ("👩🏽\u200d🚀 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3", "👩🏽\u200d🚀 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3"),
        ("\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f3f4\U000e0067\U000e0062\U000e007f"),
        # Nothing to see.
        ("\u200b", None),
        (" \ufeff\u00ad\u200d\ufe0f ", None),
        ("\u115f\u1160", None),
        ("\u3164", None),
        ("\u2800\uffa0", None),
        ("\u0308", None),
        ("\U000e0041", None),
        # Punctuation is a value, but not a name.
        ("-", "-"),
    ],
)
def test_invisible_characters(text: str, shown: str | None) -> None:
    """They are removed in texts and lists, unless they have a meaning; a value of nothing else is blank."""
    mapping = mapping_of({"title": "a", "emails": "a", "notes": "{a}"})
    values = by_field(mapping, mapped(mapping, a=text))
    assert values == ({"title": shown, "emails": [shown], "notes": shown} if shown else {})
    again = mapped(mapping_of({"title": "a"}), a=shown or "b")
    assert (again.values, again.trimmed) == ((shown or "b",), 0)


@pytest.mark.parametrize("name", ["-", ".", " - . ", "?", "\u200b", "\u3164", "_", "\u0301", "\u200e.\u200f", "\0"])
def test_what_is_not_a_name(name: str) -> None:
    """A display name needs a letter, a digit or an emoji; without one the next source is used."""
    mapping = mapping_of({"display_name": ["a", "{a} {b}", "c"], "emails": "mail"})
    assert mapped(mapping, a=name, c="Anna").values[0] == "Anna"
    assert mapped(mapping, a=name, mail="a@x.org").values[0] == "a@x.org"
    assert mapped(mapping, f"cn={name},dc=x".replace("\0", "\\00"), a=name).values[0] == KEY


@pytest.mark.parametrize("name", ["A", "7", "山", "م", "👍", "O'", "Zoe\u0308", "№ 5", "\ue000"])
def test_what_is_a_name(name: str) -> None:
    """One letter, digit or symbol is enough."""
    assert mapped(mapping_of({"display_name": ["a", "c"]}), a=name, c="other").values[0] == normalize("NFC", name)


@given(st.text(max_size=30))
def test_cleaning_a_clean_text_changes_nothing(text: str) -> None:
    """A value that was cleaned is clean."""
    mapping = mapping_of({"title": "a", "notes": "a"})
    once = mapped(mapping, a=text.encode("utf-8", "replace")).values
    again = [mapped(mapping, a=value or b"").values[place] for place, value in enumerate(once)]
    assert again == list(once)


octets = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([JPEG, b"cn=a\\00,dc=x", b"a$b\\24", b"SMTP:a@x.org", b"\r\n", b"\0"]),
)
SOURCES = ["a", "b", {"attribute": "a", "as": "address"}, {"attribute": "b", "as": "rdn"}, "{a} ({b})", "c"]
EVERYTHING = {name: "c" if kind is Kind.PHOTO else SOURCES for name, kind in FIELDS.items()} | {"extra.x": SOURCES}
entries = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.lists(octets, max_size=6))


@given(entries, st.randoms(use_true_random=False))
def test_order_changes_nothing(attributes: dict[str, list[bytes]], random: Any) -> None:
    """Neither the order of attributes nor the order of their values."""
    mapping = mapping_of(EVERYTHING, SMALL, identity="dn")
    names = random.sample(sorted(attributes), len(attributes))
    reordered = {name: random.sample(attributes[name], len(attributes[name])) for name in names}
    assert mapping.map(b"", Entry("cn=a", reordered)) == mapping.map(b"", Entry("cn=a", attributes))


@given(entries, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
def test_every_entry_is_mapped_or_rejected(attributes: dict[str, list[bytes]], dn: str) -> None:
    """Whatever an entry contains, its values are within the limits, in NFC, and valid for PostgreSQL."""
    contact = mapping_of(EVERYTHING, SMALL, identity="dn").map(b"", Entry(dn, attributes))
    if isinstance(contact, RejectedEntry):
        assert "DN" in contact.reason
        return
    for field, value in zip(EVERYTHING, contact.values, strict=True):
        if kind_of(field) is Kind.PHOTO:
            assert value in {None, JPEG}
            continue
        texts = value if isinstance(value, list) else [value or "blank"]
        assert isinstance(value, list) == (kind_of(field) is Kind.LIST)
        assert len(texts) <= SMALL.values
        assert all(0 < len(text.encode()) <= SMALL.text_bytes and "\0" not in text for text in texts)
        assert all(text == text.strip() and is_normalized("NFC", text) for text in texts)
    assert "\0" not in contact.key
