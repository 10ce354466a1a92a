"""Whether a definition authenticates by what belongs to the daemon's machine, and where to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.credentials.bind import destination_of
from contactsync.errors import DefinitionError
from contactsync.model import Auth

if TYPE_CHECKING:
    from contactsync.model import Definition


def uses_machine(definition: Definition, *, new_password: bool) -> bool:
    """Whether it authenticates by a reference, a ticket or a certificate; `new_password` replaces a reference."""
    reference = definition.password_ref is not None and not new_password
    return reference or definition.auth is not Auth.SIMPLE or definition.tls_client_cert is not None


def same_destination(stored: Definition, edited: Definition) -> bool:
    """Whether both go to the same servers with the same user and TLS settings; False if one of them is not valid."""
    try:
        return destination_of(stored) == destination_of(edited)
    except DefinitionError:
        return False
