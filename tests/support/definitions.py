"""Definitions as an application writes them, and what becomes of them, by plain SQL."""

from __future__ import annotations

from typing import Any

import psycopg

from contactsync.testing.slapd import PrivateSlapd

Person = psycopg.Connection[Any]

PEOPLE = 40
"""People of the directory that the fixture `directory` starts."""

RARE = "every 365d"
"""A schedule of a folder that only runs at its start and on request. That of every hour is due during some suites."""


def define(person: Person, directory: PrivateSlapd, name: str = "Staff", **columns: Any) -> int:
    """Add a folder and a definition as an application would, and give the definition's id."""
    values = {
        "query": f"{directory.url}/{directory.suffix}",
        "bind_user": directory.reader_dn,
        "password_ref": "env:READER",
        "tls": "none",
        "schedule": RARE,
        **columns,
    }
    names = ", ".join(values)
    places = ", ".join(["%s"] * len(values))
    row = person.execute(
        f"""
        WITH f AS (INSERT INTO contactsync.folders (name) VALUES (%s) RETURNING folder_id)
        INSERT INTO contactsync.sync_definitions (folder_id, {names})
        SELECT folder_id, {places} FROM f RETURNING definition_id
        """,  # noqa: S608  (column names written in this file)
        [name, *values.values()],
    ).fetchone()
    assert row
    return int(row[0])


def count(person: Person, table: str = "contacts") -> int:
    """Count the rows of a table."""
    row = person.execute(f"SELECT count(*) FROM contactsync.{table}").fetchone()  # noqa: S608  (written in this file)
    return int(row[0]) if row else -1


def outcomes(person: Person, definition_id: int) -> list[str | None]:
    """Give the outcomes of a definition's runs, oldest first."""
    statement = "SELECT outcome FROM contactsync.sync_runs WHERE definition_id = %s ORDER BY run_id"
    return [outcome for (outcome,) in person.execute(statement, [definition_id])]


def runs(person: Person, definition_id: int) -> list[tuple[str, str | None]]:
    """Give trigger and outcome of a definition's runs, oldest first."""
    statement = "SELECT trigger, outcome FROM contactsync.sync_runs WHERE definition_id = %s ORDER BY run_id"
    return person.execute(statement, [definition_id]).fetchall()


def state(person: Person, definition_id: int) -> Any:
    """Give the state and reason of a definition, as applications see them."""
    statement = "SELECT state, reason FROM contactsync.definition_overview WHERE definition_id = %s"
    return person.execute(statement, [definition_id]).fetchone()
