"""Edits that would send a definition's password elsewhere: the run fails and sends nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from contactsync.bootstrap import allowed_references
from contactsync.model import Outcome
from contactsync.settings.schema import Settings
from tests.support.folder import SyncedFolder


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen as the server of an attacker."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening


def edit_by_sql(folder: SyncedFolder, **columns: Any) -> None:
    """Edit the definition as a user with rights on its table, but without the key."""
    assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns)
    edit = sql.SQL("UPDATE contactsync.sync_definitions SET {} WHERE definition_id = %s").format(assignments)
    with folder.connection() as connection:
        connection.execute(edit, [*columns.values(), folder.definition_id])


def expect_kept(folder: SyncedFolder) -> None:
    """A run fails before it connects, and its error says what to do."""
    report = folder.run()
    folder.expect_failure(report, "secret", "other servers, another user or other TLS settings", "Set the password")
    assert report.attempts == 0


@pytest.mark.parametrize(
    "query",
    [
        "ldap://127.0.0.1:{port}",
        "ldap://127.0.0.1:{port}/{suffix} {query}",
        "{query} ldap://127.0.0.1:{port}/{suffix}",
    ],
)
def test_a_password_does_not_go_to_another_server(folder: SyncedFolder, listener: socket.socket, query: str) -> None:
    """Instead of its own server, before it or after it; there is not even a connection."""
    before = folder.rows()
    parts = {"port": listener.getsockname()[1], "query": folder.definition.query, "suffix": folder.slapd.suffix}
    edit_by_sql(folder, query=query.format(**parts))
    expect_kept(folder)
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert folder.rows() == before


@pytest.mark.parametrize(
    "columns",
    [
        {"tls": "none"},
        {"tls_verify": False},
        {"tls_ca_file": "/etc/ssl/ca.pem"},
        {"tls_minimum": "1.2"},
        {"bind_user": "cn=other,dc=example,dc=test"},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_a_password_is_not_sent_over_another_connection(folder: SyncedFolder, columns: dict[str, Any]) -> None:
    """In plain text, to an unknown certificate, or as another user."""
    edit_by_sql(folder, **columns)
    expect_kept(folder)


def test_a_password_is_not_sent_to_a_certificate_of_another_authority(folder: SyncedFolder) -> None:
    """Also if the authorities are in the definition itself."""
    edit_by_sql(folder, tls_ca_pem=folder.slapd.ca_file.read_text(), tls_ca_file=None)
    expect_kept(folder)


def test_other_edits_keep_the_password(folder: SyncedFolder) -> None:
    """Base, filter and schedule do not belong to the destination."""
    query = folder.definition.query
    edit_by_sql(folder, query=f"{query}??sub?(uid=*)", base=folder.slapd.people_base, schedule="@hourly")
    assert folder.run().outcome in {Outcome.CHANGED, Outcome.HELD, Outcome.UNCHANGED}


def test_the_password_opens_again_when_the_edit_is_undone(folder: SyncedFolder) -> None:
    """It need not be set again."""
    edit_by_sql(folder, tls="none")
    expect_kept(folder)
    edit_by_sql(folder, tls="auto")
    folder.expect_in_sync()


@pytest.mark.parametrize("reference", ["file:/etc/shadow", "env:PATH", "credential:secret.key"])
def test_a_reference_that_the_settings_do_not_allow_is_not_resolved(
    folder: SyncedFolder, listener: socket.socket, reference: str
) -> None:
    """Otherwise an editor could have any file that the daemon can read sent to a server."""
    edit_by_sql(
        folder, query=f"ldap://127.0.0.1:{listener.getsockname()[1]}", password_sealed=None, password_ref=reference
    )
    key_file = Path("/run/credentials/contactsync/secret.key")
    references = replace(allowed_references(Settings()), never=(key_file,))
    folder.passwords = replace(folder.passwords, references=references)
    report = folder.run()
    folder.expect_failure(report, "secret", f"do not allow the reference {reference}", "settings.toml")
    with pytest.raises(BlockingIOError):
        listener.accept()
