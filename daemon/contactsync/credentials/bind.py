"""Bind passwords of definitions, each bound to its destination.

A sealed password opens only for the servers, the user and the TLS settings that it was set for. Otherwise an editor of
a definition could have the password sent to another server or over an unprotected connection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from contactsync.credentials.envelope import EnvelopeKey
from contactsync.credentials.references import References, resolve_reference
from contactsync.credentials.sealing import SecretBox
from contactsync.errors import SecretError
from contactsync.ldap.query.query import parse_query
from contactsync.text import quoted

if TYPE_CHECKING:
    from contactsync.model import Definition


def destination_of(definition: Definition) -> bytes:
    """Digest (32 bytes) of the destination of a definition's password: servers, user, TLS settings.

    Raises QueryError. An edit of other fields, such as base and filter, does not need the password again.
    """
    query = parse_query(definition.query)
    servers = [[server.host, server.port, server.ldaps] for server in query.servers]
    parts = [servers, None if servers else query.domain, *_user_and_tls(definition)]
    return blake2b(json.dumps(parts).encode(), digest_size=32, person=b"contactsync-dest").digest()


def binding_of(definition: Definition) -> bytes:
    """What a password that was sealed by SQL is bound to; the same octets as contactsync.password_binding."""
    parts = [definition.definition_id, definition.query, *_user_and_tls(definition)]
    return json.dumps(parts, ensure_ascii=False).encode()


def _user_and_tls(definition: Definition) -> list[Any]:
    """The order is part of stored digests, and of contactsync.password_binding."""
    return [
        definition.user,
        definition.auth.value,
        definition.tls.value,
        definition.tls_verify,
        definition.tls_minimum,
        definition.tls_ca_file,
        definition.tls_ca_pem,
    ]


@dataclass(frozen=True, slots=True)
class BindPasswords:
    """Opens, resolves and seals bind passwords; `open_box`, which reads the key file, is for sealed ones only."""

    open_box: Callable[[], SecretBox]
    references: References
    environ: Mapping[str, str]

    def read(self, definition: Definition) -> str | None:
        """The bind password of a stored definition; None if it has none. Raises SecretError, QueryError."""
        if definition.password_ref:
            return resolve_reference(definition.password_ref, self.environ, self.references)
        if definition.password_new is not None:
            return self.open_new(definition)
        if definition.password_sealed is None:
            return None
        return self.open_box().open(
            definition.password_sealed,
            folder_id=definition.folder_id,
            definition_id=definition.definition_id,
            destination=destination_of(definition),
        )

    def open_new(self, definition: Definition) -> str:
        """The password that a program has sealed by SQL for the definition as it is now. Raises SecretError."""
        return EnvelopeKey(self.open_box()).open(definition.password_new or b"", binding_of(definition))

    def missing(self, reference: str | None, key_id: bytes | None, files: Iterable[str]) -> str | None:
        """Why this machine lacks a password or a file that a definition needs; None if it has all. Raises SecretError.

        `key_id` is that of the key that has sealed the password. Without a reference no password is opened.
        """
        try:
            if reference:
                resolve_reference(reference, self.environ, self.references)
        except SecretError as error:
            return error.message
        if not reference and key_id is not None and key_id != (own := self.open_box().key_id):
            return f"The stored password was sealed with another key (id {key_id.hex()}, here {own.hex()})."
        unreadable = next((path for path in files if not os.access(path, os.R_OK)), None)
        return None if unreadable is None else f"The file {quoted(unreadable)} cannot be read."

    def seal(self, definition: Definition, password: str) -> bytes:
        """The password, sealed for a stored definition and its present destination. Raises SecretError, QueryError."""
        return self.open_box().seal(
            password,
            folder_id=definition.folder_id,
            definition_id=definition.definition_id,
            destination=destination_of(definition),
        )
