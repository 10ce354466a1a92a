"""The SQL examples of docs/reference/sql.md and README.md work, in this order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from contactsync.store.definitions import add_definition, add_folder, read_definitions
from contactsync.store.embedded.cluster import SUPERUSER
from contactsync.sync.definition import resolve
from tests.support import roles

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "docs" / "reference" / "sql.md", ROOT / "README.md"]
BLOCK = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)

Documents = list[dict[str, Any]]


def statements() -> list[str]:
    """All statements of the pages in order; none contains a semicolon."""
    blocks = [block for page in PAGES for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    return [statement.strip() for block in blocks for statement in block.split(";") if statement.strip()]


@pytest.fixture
def conninfo(database: str) -> str:
    """Give a database with the shared folder Staff and the role `application`."""
    with psycopg.connect(database, user=SUPERUSER, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = 'application'").fetchone() is None:
            connection.execute("CREATE ROLE application")
        connection.execute("GRANT application TO contactsync")
    with psycopg.connect(database) as connection:
        add_definition(connection, add_folder(connection, "Staff", None), {"query": "dc1.example.com"})
    return database


def carry_out(conninfo: str) -> Documents:
    """Execute the pages, grants as superuser and the rest as application; give all rows."""
    rows: Documents = []
    roles.carry_out(conninfo, "roles.sql")
    with (
        psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as application,
        psycopg.connect(conninfo, user=SUPERUSER, autocommit=True, row_factory=dict_row) as superuser,
    ):
        application.execute("SET ROLE application")
        for statement in statements():
            cursor = (superuser if statement.startswith("GRANT") else application).execute(statement.encode())
            rows += cursor.fetchall() if cursor.description else []
    return rows


def test_an_application_can_execute_the_pages(conninfo: str) -> None:
    """With the rights that they grant; the request waits for the daemon."""
    rows = carry_out(conninfo)
    assert [row["state"] for row in rows if "state" in row and "request_id" in row] == ["queued"]


def test_the_definitions_of_the_pages_are_valid(conninfo: str) -> None:
    """The daemon can resolve them."""
    carry_out(conninfo)
    with psycopg.connect(conninfo) as connection:
        definitions = {definition.label: definition for definition in read_definitions(connection)}
    private = resolve(definitions["anna/Private"])
    assert private.user == r"EXAMPLE\reader"
    assert private.definition.schedule == "@hourly"
    assert private.definition.max_delete_count == 50


def test_an_application_can_delete_peoples_own_contacts(conninfo: str) -> None:
    """With the rights that the pages grant."""
    carry_out(conninfo)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET ROLE application")
        deleted = connection.execute("DELETE FROM contactsync.contacts WHERE display_name = 'Our plumber'").rowcount
    assert deleted == 1


def test_an_application_cannot_read_without_the_grants(conninfo: str) -> None:
    """The role has no other rights."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET ROLE application")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT FROM contactsync.contacts")
