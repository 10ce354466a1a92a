"""Passwords that programs seal with the daemon's public key and write by SQL: publication of the key, acceptance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from contactsync.credentials.envelope import ALGORITHM, EnvelopeKey
from contactsync.model import Actor
from contactsync.store import definitions
from contactsync.store.record.audit import acting

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.credentials.bind import BindPasswords
    from contactsync.model import Definition

_DAEMON = Actor("unix", "contactsync", "daemon")


def publish_public_key(connection: Connection[Any], passwords: BindPasswords) -> None:
    """Store the public key, unless it is stored already. Raises SecretError, DatabaseError."""
    box = passwords.open_box()
    if not definitions.key_published(connection, box.key_id):
        definitions.publish_key(connection, box.key_id, EnvelopeKey(box).public_from_child(), ALGORITHM)


def accept_password(connection: Connection[Any], passwords: BindPasswords, definition: Definition) -> Definition:
    """Seal a password that came by SQL with the daemon's own key; returns the definition as it then is.

    Does nothing if there is none, or if the definition was edited since it was read. Raises SecretError, QueryError,
    DatabaseError.
    """
    if definition.password_new is None:
        return definition
    sealed = passwords.seal(definition, passwords.open_new(definition))
    with acting(connection, _DAEMON):
        revision = definitions.accept_password(connection, definition, sealed)
    if revision is None:
        return definition
    return replace(definition, password_sealed=sealed, password_new=None, revision=revision)
