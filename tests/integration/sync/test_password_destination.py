"""Edits that would have a definition's password sent elsewhere: the run says so and nothing is sent."""

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
from contactsync.settings import Settings
from tests.support.folder import SyncedFolder


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen as the server of somebody who wants the password."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening


def edit_by_sql(folder: SyncedFolder, **columns: Any) -> None:
    """Edit the definition as somebody does who has rights on its table, and not the key."""
    assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns)
    edit = sql.SQL("UPDATE contactsync.sync_definitions SET {} WHERE definition_id = %s").format(assignments)
    with folder.connection() as connection:
        connection.execute(edit, [*columns.values(), folder.definition_id])


def expect_kept(folder: SyncedFolder) -> None:
    """A run fails before it has spoken to anybody, with a sentence that says what to do."""
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
    """Neither in place of the one that it was given for, nor before or after it; nobody even connects."""
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
def test_a_password_is_not_sent_otherwise(folder: SyncedFolder, columns: dict[str, Any]) -> None:
    """In plain text, to whom no certificate vouches for, or as that of another user."""
    edit_by_sql(folder, **columns)
    expect_kept(folder)


def test_a_password_is_not_sent_to_whom_another_authority_vouches_for(folder: SyncedFolder) -> None:
    """Also when the authorities stand in the definition itself."""
    edit_by_sql(folder, tls_ca_pem=folder.slapd.ca_file.read_text(), tls_ca_file=None)
    expect_kept(folder)


def test_other_edits_leave_the_password_as_it_is(folder: SyncedFolder) -> None:
    """What is asked for, and when, has nothing to do with where the password goes."""
    query = folder.definition.query
    edit_by_sql(folder, query=f"{query}??sub?(uid=*)", base=folder.slapd.people_base, schedule="@hourly")
    assert folder.run().outcome in {Outcome.CHANGED, Outcome.HELD, Outcome.UNCHANGED}


def test_the_password_is_good_again_when_the_edit_is_undone(folder: SyncedFolder) -> None:
    """Nobody has to type it for an edit that was taken back."""
    edit_by_sql(folder, tls="none")
    expect_kept(folder)
    edit_by_sql(folder, tls="auto")
    folder.expect_in_step()


@pytest.mark.parametrize("reference", ["file:/etc/shadow", "env:PATH", "credential:secret.key"])
def test_a_reference_that_the_settings_do_not_allow_is_not_followed(
    folder: SyncedFolder, listener: socket.socket, reference: str
) -> None:
    """Or a definition could have any file that the daemon can read sent to a server of its owner's."""
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
