"""Bind passwords of definitions, each bound to its destination.

A sealed password opens only for the servers, the user and the TLS settings that it was set for. Otherwise an editor of
a definition could have the password sent to another server or over an unprotected connection.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from contactsync.credentials.references import References, resolve_reference
from contactsync.credentials.sealing import SecretBox
from contactsync.ldap.query.query import parse_query

if TYPE_CHECKING:
    from contactsync.model import Definition


def destination_of(definition: Definition) -> bytes:
    """Digest (32 bytes) of the destination of a definition's password: servers, user, TLS settings.

    Raises QueryError. An edit of other fields, such as base and filter, does not need the password again.
    """
    query = parse_query(definition.query)
    servers = [[server.host, server.port, server.ldaps] for server in query.servers]
    parts = [
        servers,
        None if servers else query.domain,
        definition.user,
        definition.auth.value,
        definition.tls.value,
        definition.tls_verify,
        definition.tls_minimum,
        definition.tls_ca_file,
        definition.tls_ca_pem,
    ]
    return blake2b(json.dumps(parts).encode(), digest_size=32, person=b"contactsync-dest").digest()


def seal_for(definition: Definition, password: str, box: SecretBox) -> bytes:
    """The password, sealed for a stored definition and its present destination. Raises SecretError, QueryError."""
    return box.seal(
        password,
        folder_id=definition.folder_id,
        definition_id=definition.definition_id,
        destination=destination_of(definition),
    )


def password_of(
    definition: Definition, open_box: Callable[[], SecretBox], environ: Mapping[str, str], allowed: References
) -> str | None:
    """The bind password of a stored definition; None if it has none. Raises SecretError, QueryError.

    `open_box` reads the key file; it is called for a sealed password only.
    """
    if definition.password_ref:
        return resolve_reference(definition.password_ref, environ, allowed)
    if definition.password_sealed is None:
        return None
    return open_box().open(
        definition.password_sealed,
        folder_id=definition.folder_id,
        definition_id=definition.definition_id,
        destination=destination_of(definition),
    )


@dataclass(frozen=True, slots=True)
class BindPasswords:
    """The bind passwords of definitions, by this machine's key and references; `open_box` reads the key file."""

    open_box: Callable[[], SecretBox]
    references: References
    environ: Mapping[str, str]

    def read(self, definition: Definition) -> str | None:
        """See `password_of`."""
        return password_of(definition, self.open_box, self.environ, self.references)

    def seal(self, definition: Definition, password: str) -> bytes:
        """See `seal_for`."""
        return seal_for(definition, password, self.open_box())
