"""Whole runs over unusual entries: each value has its documented result, and the other people arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import ldap3
import pytest
from ldap3.utils.dn import escape_rdn

from contactsync.model import Outcome, RunReport
from contactsync.operations.directory_lookup import Lookup
from contactsync.operations.explain import explain
from contactsync.operations.runs import run_details
from contactsync.settings.schema import MappingLimits
from contactsync.sync.document import RunResult
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder

MIB = 1 << 20
OCTETS = {"fields": {"notes": "audio", "nickname": "audio", "emails": "audio", "extra.octets": "audio"}}
"""Fields of every kind out of an attribute whose values a directory takes as they are."""

_numbers = count(1)


class Unit:
    """An organizational unit with people of all kinds, and a folder for it."""

    def __init__(self, slapd: PrivateSlapd) -> None:
        self.slapd = slapd
        self.base = f"ou=odd{next(_numbers)},{slapd.suffix}"
        self._admin: ldap3.Connection = slapd.connection()
        self._admin.add(self.base, "organizationalUnit")
        self.add("cn=Plain", sn="Plain")

    def close(self) -> None:
        """Remove it with everything in it."""
        for dn in (*self.dns(), self.base):
            self._admin.delete(dn)
        self._admin.unbind()

    def add(self, rdn: str, **attributes: Any) -> str:
        """Add a person and return the DN as the server writes it."""
        dn = f"{rdn},{self.base}"
        self._admin.add(dn, "inetOrgPerson", {"sn": "Odd", **attributes})
        return dn

    def replace(self, dn: str, **attributes: Any) -> None:
        """Replace attributes of a person."""
        self._admin.modify(dn, {name: [(ldap3.MODIFY_REPLACE, values)] for name, values in attributes.items()})

    def rename(self, dn: str, rdn: str) -> None:
        """Give a person another RDN."""
        self._admin.modify_dn(dn, rdn)

    def dns(self) -> set[str]:
        """The DNs of all people in it, as the server writes them."""
        self._admin.search(self.base, "(objectClass=inetOrgPerson)", attributes=["1.1"])
        return {entry["raw_dn"].decode() for entry in self._admin.response}


@pytest.fixture
def unit(directory: PrivateSlapd) -> Iterator[Unit]:
    """Make a unit with one ordinary person in the shared directory."""
    unit = Unit(directory)
    yield unit
    unit.close()


@pytest.fixture
def odd_folder(make_folder: Callable[..., SyncedFolder], unit: Unit) -> SyncedFolder:
    """Define an empty folder for the unit."""
    return make_folder(unit.slapd, base=unit.base)


def load(folder: SyncedFolder, *, rejected: int = 0, trimmed: int = 0, **options: Any) -> RunReport:
    """Fill the folder: the ordinary person arrives, the user's contact is unchanged, a second run has no changes."""
    (mum,) = folder.rows()["contacts"]
    report = folder.run(**options)
    assert (report.outcome, report.error) == (Outcome.CHANGED, None)
    assert (report.counts.rejected, report.counts.trimmed) == (rejected, trimmed)
    folder.expect_row(report)
    again = folder.run(**options)
    assert again.counts.rejected == rejected
    assert (again.outcome, again.counts.inserted, again.counts.updated) == (Outcome.UNCHANGED, 0, 0)
    assert mum in folder.rows()["contacts"]
    assert contact(folder, "Plain")["family_name"] == "Plain"
    return report


def contact(folder: SyncedFolder, name: str) -> dict[str, Any]:
    """The only contact with this display name."""
    (row,) = [row for row in folder.rows()["contacts"] if row["display_name"] == name]
    return row


def explained(folder: SyncedFolder, name: str) -> list[str]:
    """The sentences of `explain` about a person in the folder."""

    def look_up() -> Lookup:
        pytest.fail("The person is in the folder.")

    with folder.connection() as connection:
        return [reason.text for reason in explain(connection, folder.definition, name, look_up).reasons]


def test_ten_thousand_values_in_one_attribute(unit: Unit, odd_folder: SyncedFolder) -> None:
    """The first hundred are kept and the others are counted as trimmed."""
    unit.add("cn=Many", mail=[f"{number:05}@example.test" for number in range(10_000)])
    load(odd_folder, trimmed=9_900)
    assert contact(odd_folder, "Many")["emails"] == [f"{number:05}@example.test" for number in range(100)]


def test_a_photo_of_five_megabytes(unit: Unit, odd_folder: SyncedFolder) -> None:
    """The person arrives without the photo, and with it once the limit is higher."""
    photo = b"\xff\xd8\xff" + bytes(5 * MIB)
    unit.add("cn=Portrait", jpegPhoto=[photo])
    load(odd_folder, trimmed=1)
    assert contact(odd_folder, "Portrait")["photo_digest"] is None
    assert odd_folder.rows()["photos"] == []
    assert odd_folder.run(map_limits=MappingLimits(photo_bytes=6 * MIB)).counts.updated == 1
    assert [row["photo"] for row in odd_folder.rows()["photos"]] == [photo]


def test_an_entry_larger_than_the_longest_message_fails_the_run(unit: Unit, odd_folder: SyncedFolder) -> None:
    """The contact of that entry is unknown, so it cannot be skipped; the error names the setting."""
    load(odd_folder)
    before = odd_folder.rows()
    dn = unit.add("cn=Portrait", jpegPhoto=[b"\xff\xd8\xff" + bytes(MIB)])
    report = odd_folder.run(max_message_bytes=65_536, retry_attempts=1)
    words = ("at most 65536 are accepted", "raise directory.max_message_bytes")
    odd_folder.expect_failure(report, "directory.protocol", *words)
    assert odd_folder.rows() == before
    unit.replace(dn, jpegPhoto=[])
    assert odd_folder.run(max_message_bytes=65_536).counts.inserted == 1


@pytest.mark.parametrize(
    ("octets", "line", "lines", "trimmed"),
    [
        (b"An\0na", "Anna", "Anna", 4),
        (b"\0", None, None, 4),
        (b"a\x1fb\x1ec\x1dd", "a b c d", "a b c d", 4),
        (b"one\r\ntwo\tthree", "one two three", "one\ntwo\tthree", 2),
        (b"\\N", "\\N", "\\N", 0),
        (b"\\.", "\\.", "\\.", 0),
        (b'{"a","b"}', '{"a","b"}', '{"a","b"}', 0),
        (b"NULL", "NULL", "NULL", 0),
        (b"caf\xe9", None, None, 4),
        (b"\xed\xa0\x80", None, None, 4),
        ("e\u0301".encode(), "é", "é", 0),
        ("\ufffe\U0010ffff\U0001f98a".encode(), "\ufffe\U0010ffff\U0001f98a", None, 0),
        ("\u202e+39 3\u200b33\ufeff".encode(), "+39 333", None, 4),
        ("\u200b\u3164".encode(), None, None, 4),
        ("می\u200cخواهم".encode(), "می\u200cخواهم", None, 0),
        (b"   ", None, None, 0),
        (b"x" * 70_000, "x" * 65_536, "x" * 65_536, 4),
    ],
    ids=[
        "NUL", "only NUL", "stand-ins of COPY", "lines", "null of COPY", "end of COPY", "array", "NULL", "Latin-1",
        "surrogate", "decomposed", "odd letters", "pasted", "nothing visible", "Persian", "blank", "70 kB",
    ],
)  # fmt: skip
def test_octets_of_every_kind(
    unit: Unit, odd_folder: SyncedFolder, octets: bytes, line: str | None, lines: str | None, trimmed: int
) -> None:
    """Text, lists, lines and extra each get what PostgreSQL can store, in the right column."""
    unit.add("cn=Octets", audio=[octets])
    odd_folder.edit(mapping=OCTETS)
    load(odd_folder, trimmed=trimmed)
    row = contact(odd_folder, "Octets")
    assert (row["nickname"], row["emails"]) == (line, [line] if line else [])
    # A list and a short text have one line; notes, and whatever is mapped beside the fields, have several.
    assert row["extra"] == ({"octets": lines or line} if line else {})
    assert row["notes"] == (lines or line)
    assert row["family_name"] == "Odd"


def test_a_display_name_that_names_nothing(unit: Unit, odd_folder: SyncedFolder) -> None:
    """The next attribute is used, or else the email."""
    unit.add("cn=Ida", displayName=["\u200b"])
    unit.add("cn=Ugo", displayName=["-"])
    unit.add("cn=.", displayName=["\u3164"], mail=["eva@example.test"])
    load(odd_folder, trimmed=4)
    assert {row["display_name"] for row in odd_folder.rows()["contacts"]} >= {"Ida", "Ugo", "eva@example.test"}


def test_each_trimmed_value_is_named(unit: Unit, odd_folder: SyncedFolder) -> None:
    """With the entry, the field and the reason: in the record of the run, in its log line and in `explain`."""
    dn = unit.add("cn=Beat", jpegPhoto=[b"II*\0 a TIFF"], title=["\u200bHead"], mail=["b@example.test"])
    unit.add("cn=Carla", description=["x" * 70_000])
    report = load(odd_folder, trimmed=3)
    with odd_folder.connection() as connection:
        details = run_details(connection, report.run_id, None)
    assert [(value.dn.partition(",")[0], value.field, value.reason) for value in details.trimmed] == [
        ("cn=Beat", "photo", "a photo that is no JPEG, PNG, GIF or WebP was dropped (11 bytes)"),
        ("cn=Beat", "title", "invisible characters were removed"),
        ("cn=Carla", "notes", "a text of 70,000 bytes was cut to 65,536"),
    ]
    (photo,) = [text for text in odd_folder.events("run.finished")[0]["trimmed_sample"] if ": photo: " in text]
    assert photo.startswith(dn)
    assert explained(odd_folder, "Beat")[1:] == [
        f"Run {report.run_id}, field photo: a photo that is no JPEG, PNG, GIF or WebP was dropped (11 bytes).",
        f"Run {report.run_id}, field title: invisible characters were removed.",
    ]
    assert explained(odd_folder, "Plain")[1:] == []
    unit.replace(dn, jpegPhoto=[b"\xff\xd8\xff"], title=["Head"])
    odd_folder.run()
    assert explained(odd_folder, "Beat")[1:] == []


def test_a_mapping_that_takes_the_value_ends_the_note(unit: Unit, odd_folder: SyncedFolder) -> None:
    """`explain` names only what the mapping of today has dropped."""
    unit.add("cn=Octets", audio=[b"caf\xe9"])
    odd_folder.edit(mapping={"fields": {"nickname": "audio"}})
    load(odd_folder, trimmed=1)
    assert len(explained(odd_folder, "Octets")) == 2
    odd_folder.edit(mapping={"fields": {"nickname": "sn"}})
    odd_folder.run()
    assert len(explained(odd_folder, "Octets")) == 1


def test_of_many_trimmed_values_the_first_are_named(unit: Unit, odd_folder: SyncedFolder) -> None:
    """A run counts all of them."""
    for number in range(1100):
        unit.add(f"cn=Many {number}", title=["\u200bHead"])
    report = odd_folder.run()
    assert (report.counts.trimmed, len(report.trimmed_values)) == (1100, 1000)
    rows = odd_folder.query("SELECT count(*) FROM contactsync.trimmed_values WHERE run_id = %s", report.run_id)
    assert rows[0]["count"] == 1000
    assert len(RunResult.of(report).trimmed_sample) == 10


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Smith, John", "Smith, John"),
        ('Anna "Anni" Berg', 'Anna "Anni" Berg'),
        ("🦊 Fox #1", "🦊 Fox #1"),
        ("a+b=c;d<e>f\\g", "a+b=c;d<e>f\\g"),
        (" outer white space ", "outer white space"),
        ("#hash", "#hash"),
        ("Zürich 営業部 محمد", "Zürich 営業部 محمد"),
        ("\\, \\2c \\N", "\\, \\2c \\N"),
        ("line\nfeed", "line feed"),
        ("nul\0inside", "nulinside"),
    ],
)
def test_a_name_that_a_dn_must_escape(unit: Unit, odd_folder: SyncedFolder, name: str, shown: str) -> None:
    """The contact has the plain name and the directory's DN, and keeps its id when the entry is renamed."""
    rdn = f"cn={escape_rdn(name)}".replace("\n", "\\0a").replace("\\\0", "\\00")
    dn = unit.add("cn=Before")
    load(odd_folder)
    contact_id = contact(odd_folder, "Before")["contact_id"]
    unit.rename(dn, rdn)
    assert odd_folder.run().counts.updated == 1
    assert contact(odd_folder, shown)["contact_id"] == contact_id
    assert {dn for dn, _, _ in odd_folder.contacts()} == unit.dns()
    assert odd_folder.run().outcome is Outcome.UNCHANGED


def test_entries_without_a_usable_identity_are_rejected_by_name(unit: Unit, odd_folder: SyncedFolder) -> None:
    """No value, two, a blank one, or another entry's: each is reported with the reason, and the others arrive."""
    unit.replace(f"cn=Plain,{unit.base}", departmentNumber=["1"])
    expected = {
        unit.add("cn=None"): "has no departmentNumber",
        unit.add("cn=Two", departmentNumber=["2", "3"]): "has 2 values",
        unit.add("cn=Control", departmentNumber=["4\x014"]): "not a well-formed identity",
        unit.add("cn=Twin", departmentNumber=["5"]): "another entry has the same identity",
        unit.add("cn=Other Twin", departmentNumber=["5"]): "another entry has the same identity",
    }
    odd_folder.edit(mapping={"identity": "departmentNumber"})
    report = load(odd_folder, rejected=5)
    rows = odd_folder.query(
        "SELECT dn, reason FROM contactsync.rejected_entries WHERE run_id = %s ORDER BY dn", report.run_id
    )
    assert {row["dn"] for row in rows} == set(expected)
    assert not [row for row in rows if expected[row["dn"]] not in row["reason"]]
    assert '"rejected": 5' in odd_folder.log[-1]
    assert "cn=Twin" in odd_folder.log[-1]
