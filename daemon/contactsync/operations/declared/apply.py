"""Makes the stored definitions the declared ones, all or none, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.errors import ContactsyncError, PlanOutdated, UsageError
from contactsync.operations.declared.plan import InvalidDeclarations, compare
from contactsync.operations.definitions import store_all_new, store_edited
from contactsync.store.definitions import lock_definitions, remove_definition
from contactsync.store.record.audit import acting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from contactsync.credentials.bind import BindPasswords
    from contactsync.model import Actor
    from contactsync.operations.declared.fields import AppliedDeclarations
    from contactsync.operations.declared.plan import DefinitionsPlan, Step


def apply_definitions(
    connection: Connection[Any], passwords: BindPasswords, declarations: AppliedDeclarations, actor: Actor
) -> DefinitionsPlan:
    """Add, edit and remove definitions; returns what was done.

    With a `digest`, only the plan that it identifies is carried out. Raises PlanOutdated, InvalidDeclarations if a
    field is not valid or a password is missing, SecretError, DatabaseConflict if another session edits a
    definition at the moment, DatabaseError.
    """
    with acting(connection, actor):
        lock_definitions(connection)
        comparison = compare(connection, passwords.references, declarations)
        if declarations.digest not in {None, comparison.plan.digest}:
            raise PlanOutdated(
                "The definitions, or the file, have changed since the plan was made. Nothing was changed.",
                hint="Look at the new plan, and apply that.",
            )
        _require_passwords(comparison.steps)
        _carry_out(connection, passwords, comparison.steps, actor)
    return comparison.plan


def _carry_out(connection: Connection[Any], passwords: BindPasswords, steps: Sequence[Step], actor: Actor) -> None:
    # Removals first, so that what is added or edited meets no leftover.
    for step in steps:
        if step.wanted is None and step.stored is not None:
            remove_definition(connection, step.stored, keep_contacts=False)
    new = [(step.wanted, step.password) for step in steps if step.wanted is not None and step.stored is None]
    if new:
        store_all_new(connection, passwords, new, actor)
    for step in steps:
        if step.wanted is not None and step.stored is not None:
            store_edited(connection, passwords, step.stored, step.wanted, step.password, actor)


def _require_passwords(steps: Sequence[Step]) -> None:
    """Raise InvalidDeclarations for the changes whose password was not given."""
    errors: dict[tuple[int, str], ContactsyncError] = {
        (step.planned.index, "password"): UsageError(
            step.planned.password_problem,
            hint='Give it in the terminal, or refer to it: password_ref = "file:/etc/contactsync/...".',
        )
        for step in steps
        if step.planned.index is not None and step.planned.password_problem is not None
    }
    if errors:
        raise InvalidDeclarations(errors)
