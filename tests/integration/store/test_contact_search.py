"""Contacts are found by what people type: without regard to accents, case and the grouping of digits."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bench.directory import attributes
from contactsync.operations.search import patterns_of
from contactsync.store.record.address_book import read_contacts
from contactsync.store.statements import statement
from tests.support.resources import database_of

Connection = psycopg.Connection[Any]

LONG = f"{'W' * 10_000} Müller"
NAMES = [
    "Günther Müller",
    "Gu\u0308nther Mu\u0308ller in parts",
    "Jürgen Groß",
    "GROẞ in capitals",
    "Søren Kjær",
    "Łukasz Żak",
    "Nguyễn Văn Đức",
    "Андрей Йовков",
    "Γιώργος Παπαδάκης",
    "김민준",
    "王秀英",
    "がくと",
    "शक्ति",
    "محمد أحمد",
    "100% sure_thing",
    "C:\\path",
    "a.b*c [x] (y) {2} ^$ | ?+",
    "İpek",
    LONG,
]
FOUND = [
    ("gunther MULLER", "Günther Müller", "Gu\u0308nther Mu\u0308ller in parts"),
    ("günther mu\u0308ll", "Günther Müller", "Gu\u0308nther Mu\u0308ller in parts"),
    ("groß", "Jürgen Groß", "GROẞ in capitals"),
    ("gross", "Jürgen Groß", "GROẞ in capitals"),
    ("kjaer sor", "Søren Kjær"),
    ("KJÆR", "Søren Kjær"),
    ("lukasz zak", "Łukasz Żak"),
    ("nguyen duc", "Nguyễn Văn Đức"),
    ("андреи", "Андрей Йовков"),
    ("ЙОВ", "Андрей Йовков"),
    ("γιωργοσ", "Γιώργος Παπαδάκης"),
    ("김민", "김민준"),
    (unicodedata.normalize("NFD", "김민준"), "김민준"),
    ("秀英", "王秀英"),
    ("がく", "がくと"),
    ("かく",),
    ("शक्ति", "शक्ति"),
    ("أحمد", "محمد أحمد"),
    ("100%", "100% sure_thing"),
    ("e_t", "100% sure_thing"),
    ("%", "100% sure_thing"),
    ("_", "100% sure_thing"),
    ("\\", "C:\\path"),
    ("C:\\p", "C:\\path"),
    ("a.b*c", "a.b*c [x] (y) {2} ^$ | ?+"),
    ("[x] (y) {2} ^$ | ?+", "a.b*c [x] (y) {2} ^$ | ?+"),
    (".*",),
    ("***:a",),
    ("(?i)ipek",),
    ("ipek", "İpek"),
    ("w" * 200 + " muller", LONG),
    ("\u0308 milan",),
]
SELDOM = ["1500", "3000", "4500", "6000", "7500", "9000"]
PHONES = {"+49 170 123-45 67": "Ann", "030/12 34-56": "Bob", "(0) 30 5550199": "Cid"}


@pytest.fixture(scope="module")
def folder(postgres_server: str, migrated_template: str) -> Iterator[tuple[Connection, int]]:
    """Fill a folder with a contact of each name and each number."""
    with (
        database_of(postgres_server, template=migrated_template) as database,
        psycopg.connect(database, autocommit=True) as connection,
    ):
        row = connection.execute("INSERT INTO contactsync.folders (name) VALUES ('All') RETURNING folder_id").fetchone()
        assert row
        for name in NAMES:
            _add(connection, row[0], name)
        for number, name in PHONES.items():
            _add(connection, row[0], name, work_phones=["+1 555 0100", number], emails=[f"{name}.IT@example.test"])
        _add(connection, row[0], None, department="Mühle 12")
        yield connection, row[0]


def _add(connection: Connection, folder_id: int, name: str | None, **columns: Any) -> None:
    values = {"folder_id": folder_id, "display_name": name, **columns}
    connection.execute(
        sql.SQL("INSERT INTO contactsync.contacts ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        ),
        list(values.values()),
    )


def names(folder: tuple[Connection, int], text: str, *, limit: int = 100) -> list[str | None]:
    """The names of the contacts that are found, through all pages."""
    connection, folder_id = folder
    after, found = ("", 0), []
    while True:
        page = read_contacts(connection, folder_id, patterns=patterns_of(text), after=after, limit=limit)
        found += [row["display_name"] for row in page]
        if len(page) < limit:
            return found
        after = (page[-1]["display_name"] or "", page[-1]["contact_id"])


@pytest.mark.parametrize(
    ("text", "found"), [(text, found) for text, *found in FOUND], ids=[each[0][:20] for each in FOUND]
)
def test_names_are_found_without_regard_to_accents_and_case(
    folder: tuple[Connection, int], text: str, found: list[str]
) -> None:
    """In every script; what has a meaning in patterns is text."""
    assert sorted(map(str, names(folder, text))) == sorted(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1701234567", ["Ann"]),
        ("+49 170 1234567", ["Ann"]),
        ("+49170", ["Ann"]),
        ("170-12345", ["Ann"]),
        ("030123456", ["Bob"]),
        ("030/123456", ["Bob"]),
        ("(030)123456", ["Bob"]),
        ("305550", ["Cid"]),
        ("100030", []),
        ("ann.it@EXAMPLE 1234567", ["Ann"]),
        ("muhle 12", [None]),
    ],
)
def test_numbers_are_found_however_they_are_grouped(
    folder: tuple[Connection, int], text: str, found: list[str | None]
) -> None:
    """Within one number; other words are found in mail addresses and departments."""
    assert names(folder, text) == found


def test_pages_are_by_name_with_and_without_words(folder: tuple[Connection, int]) -> None:
    """None is missing, and none comes twice, also of those without a name."""
    connection, folder_id = folder
    everyone = sorted([*NAMES, *PHONES.values(), ""])
    for limit in (1, 2, 7, 100):
        assert [name or "" for name in names(folder, "", limit=limit)] == everyone
    with_a = names(folder, "a", limit=100)
    assert len(with_a) > 4
    assert names(folder, "a", limit=2) == with_a
    values = {"folder_id": folder_id, "name": "", "contact_id": 0, "limit": 2}
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL enable_seqscan = off")
        plan = connection.execute("EXPLAIN (COSTS OFF) " + statement("contacts_page"), values).fetchall()
    assert [line for (line,) in plan if "Scan" in line or "Sort" in line] == [
        "  ->  Index Scan using contacts_by_name on contacts c"
    ]


def test_a_search_of_many_contacts_begins_with_the_next_ones(folder: tuple[Connection, int]) -> None:
    """What many match fills its page from the index by name; what few match is found wherever it is, in one order."""
    connection, _ = folder
    with connection.transaction(force_rollback=True):
        row = connection.execute(
            "INSERT INTO contactsync.folders (name) VALUES ('Many') RETURNING folder_id"
        ).fetchone()
        assert row
        connection.execute(
            """
            INSERT INTO contactsync.contacts (folder_id, display_name)
            SELECT %s, 'P' || lpad(n::text, 4, '0') || CASE WHEN n %% 5 = 0 THEN ' often' ELSE '' END
                       || CASE WHEN n %% 1500 = 0 THEN ' seldom' ELSE '' END
            FROM generate_series(1, 9000) AS n
            """,
            [row[0]],
        )
        many = connection, int(row[0])
        often = [f"P{number:04} often" for number in range(5, 9001, 5)]
        assert names(many, "öften", limit=100) == [name + " seldom" * (name[1:5] in SELDOM) for name in often]
        for limit in (1, 2, 4, 100):
            assert names(many, "seldom", limit=limit) == [f"P{number} often seldom" for number in SELDOM]
        connection.execute("SET LOCAL enable_bitmapscan = off")
        values = {"folder_id": row[0], "name": "", "contact_id": 0, "limit": 50, "near": 4000, "patterns": ["often"]}
        plan = connection.execute("EXPLAIN (ANALYZE) " + statement("contacts_search_near"), values).fetchall()
        (scan,) = [line for (line,) in plan if "contacts_by_name" in line]
        assert "rows=250" in scan.partition("actual")[2]


def test_everyone_is_found_by_the_own_name(folder: tuple[Connection, int]) -> None:
    """In capitals and in small letters, in all scripts of the made-up people."""
    people = sorted({attributes(number)["cn"] for number in range(300)})
    connection, _ = folder
    wrong = [
        (name, text)
        for name in people
        for text in (name, name.upper(), name.lower())
        for (found,) in connection.execute("SELECT %s ~ ALL (%s)", [name, patterns_of(text)])
        if not found
    ]
    assert not wrong
