"""Which edits of a definition an actor may make, beyond the fields themselves. This module has the rules for tokens.

The same limits hold for applications that edit by SQL (deploy/postgresql/roles.sql).
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from contactsync.errors import LocalField, UsageError
from contactsync.model import Definition
from contactsync.operations.access.machine import same_destination, uses_machine
from contactsync.operations.access.person import PersonAccess
from contactsync.operations.access.person_edits import require_may_add, require_permitted_to_person
from contactsync.operations.access.rights import Right
from contactsync.operations.fields import InvalidFields

if TYPE_CHECKING:
    from contactsync.operations.access.rights import Access

_MACHINE = ("password_ref", "auth", "tls_client_cert", "tls_client_key")
"""Fields that make the daemon authenticate by a password, ticket or certificate of its machine."""
_GUARD = ("max_delete_count", "max_delete_share", "allow_empty")
"""Fields that decide which deletions need an approval."""
_DEFAULTS = {field.name: field.default for field in fields(Definition)}


def require_permitted(
    access: Access, stored: Definition, edited: Definition, *, new_password: bool, saved: bool = True
) -> None:
    """Raise Forbidden unless this actor may make of a stored or empty definition what `edited` is.

    `new_password`: it replaces a stored one and a reference. `saved`: not for a check or preview only.
    Raises InvalidFields if an administrator at the web console has to give the password.
    """
    if access.local:
        return
    if access.administrator:
        if not new_password:
            _require_same_place(stored, edited)
        return
    if isinstance(access, PersonAccess):
        require_permitted_to_person(access, stored, edited, new_password=new_password)
        return
    if saved:
        access.require_folder(edited.folder, edited.owner)
        if any(getattr(stored, name) != getattr(edited, name) for name in _GUARD):
            access.require(Right.DECIDE)
    for name in _MACHINE:
        if getattr(edited, name) not in {getattr(stored, name), _DEFAULTS[name]}:
            raise LocalField(
                f"No token may set `{name}`, because it uses what belongs to the daemon's machine.",
                hint="Set it there: `contactsync folders edit NAME`.",
            )
    if uses_machine(edited, new_password=new_password) and not same_destination(stored, edited):
        raise LocalField(
            "No token may change the servers, the user or the TLS settings of a definition that authenticates by a"
            " reference, a ticket or a certificate of the daemon's machine.",
            hint="Give a password together with the edit, or edit it there: `contactsync folders edit NAME`.",
        )


def _require_same_place(stored: Definition, edited: Definition) -> None:
    """Raise InvalidFields if an edit of the place alone would send the password behind a stored reference there.

    Only administrators get here, who may name references anew; `[secrets] references` limits which.
    """
    reference = stored.password_ref
    if reference is not None and reference == edited.password_ref and not same_destination(stored, edited):
        error = UsageError(
            f"The password that is read from {reference} is for the present server, user and TLS settings.",
            hint="Give a password together with the edit, or edit it by the command line of the daemon's machine.",
        )
        raise InvalidFields({"password": error})


def require_removable(access: Access) -> None:
    """Raise RoleMissing for a person who may not add and remove folders."""
    if isinstance(access, PersonAccess):
        require_may_add(access)
