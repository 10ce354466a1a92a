"""The plan of a run: which contacts are to be inserted, updated, refreshed and deleted, with before and after.

It is a temporary table (`planned`), made by set-based SQL over the staged rows, and the same rows are guarded, applied
and recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg import Rollback

from contactsync.errors import RunCancelled
from contactsync.model import Absence, Plan
from contactsync.store.errors import translated
from contactsync.store.session import require_usable
from contactsync.store.statements import composed, statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition
    from contactsync.store.plan.columns import Columns

__all__ = [
    "INTERNAL",
    "Rollback",
    "applying",
    "count_contacts",
    "knows_source",
    "make_plan",
    "read_plan",
    "read_unreported",
    "record_rejected",
    "require_unedited",
]

INTERNAL = ["folder_id", "contact_id", "definition_id", "source_key", "fingerprint", "created_at", "updated_at"]
"""Columns that are no field of a contact and have no place in its history."""


@contextmanager
def applying(connection: Connection[Any], definition: Definition) -> Iterator[None]:
    """One transaction over an unmoving view of the contacts, for the plan, the guard and the apply.

    `raise Rollback` in its body ends it without a trace. Raises RunCancelled when the definition was edited or removed
    since the run read it, DatabaseConflict when somebody wrote one of the planned contacts at the same moment,
    DatabaseError.
    """
    with translated(), connection.transaction():
        connection.execute(statement("unmoving"))
        require_usable(connection, getattr(connection, "server_pid", None))
        connection.execute(statement("plan_memory"))
        require_unedited(connection, definition)
        yield


def require_unedited(connection: Connection[Any], definition: Definition) -> None:
    """Keep the definition from being edited until the transaction ends. Raises RunCancelled, psycopg.Error."""
    row = connection.execute(statement("definition_unchanged"), _key(definition)).fetchone()
    if row is None or row[0] != definition.revision:
        raise RunCancelled(
            f"{definition.label} was edited or removed while it was being synchronized.",
            hint="Nothing was changed; the next run follows the new definition.",
        )


def make_plan(
    connection: Connection[Any],
    definition: Definition,
    columns: Columns,
    *,
    missing: Absence = Absence.UNMATCHED,
    everything: bool = False,
    sample: int = 5,
) -> Plan:
    """Fill `planned` from the closed staging tables; to be called in the transaction that will apply it.

    `missing` says how the contacts are found whose entry changed or is gone. `everything` says that all entries are
    staged, also those whose fingerprint a contact has. `sample` is how many names of deleted contacts and of rejected
    entries are returned. Raises psycopg.Error.
    """
    key = _key(definition)
    connection.execute(statement(f"find_lost_{missing}"), key)
    connection.execute(statement("analyze_lost"))
    connection.execute(statement("reject_duplicates"))
    connection.execute(statement("drop_rejected"))
    connection.execute(_plan_staged(columns), {**key, "everything": everything})
    connection.execute(statement("reject_twins"))
    connection.execute(statement("plan_gone"), {**key, "internal": INTERNAL})
    return read_plan(connection, sample=sample)


def read_plan(connection: Connection[Any], *, sample: int = 5) -> Plan:
    """What `planned` and `rejected` say, with up to `sample` names of each. Raises psycopg.Error."""
    inserts, updates, refreshes, deletes, rejected, returned = _row(connection, "count_planned")
    return Plan(
        inserts,
        updates,
        refreshes,
        deletes,
        rejected,
        returned,
        deleted_names=_deleted_names(connection, sample) if deletes else (),
        rejected_sample=_rejected_sample(connection, sample) if rejected else (),
    )


def count_contacts(connection: Connection[Any], definition: Definition, *, most: int | None = None) -> int:
    """How many contacts the definition has brought, or `most` if there are more. Raises psycopg.Error."""
    return int(_row(connection, "count_contacts", {**_key(definition), "most": most})[0])


def read_unreported(
    connection: Connection[Any], *, all_listed: bool, unreported_fields: Sequence[str] = (), limit: int = 20
) -> tuple[int, tuple[str, ...]]:
    """How many contacts are planned that the directory tells nothing of, and the first as `update of Anna Smith`.

    An update of nothing but `unreported_fields` does not count. To be called after `make_plan`,
    when what the directory tells was staged. Raises psycopg.Error.
    """
    values = {"all_listed": all_listed, "silent": list(unreported_fields), "limit": limit}
    rows = connection.execute(statement("untold"), values).fetchall()
    return (rows[0][0] if rows else 0), tuple(f"{action} of {name or '(no name)'}" for _, action, name in rows)


def knows_source(connection: Connection[Any], definition: Definition, digest: bytes) -> bool:
    """Whether the folder was last filled from this very source, or never filled at all."""
    row = connection.execute(statement("source_digest"), _key(definition)).fetchone()
    return row is None or row[0] is None or row[0] == digest


def record_rejected(connection: Connection[Any], definition: Definition, *, run_id: int, limit: int = 1000) -> None:
    """Keep the names of up to `limit` rejected entries with the run."""
    connection.execute(
        statement("record_rejected"), {"folder_id": definition.folder_id, "run_id": run_id, "limit": limit}
    )


def _plan_staged(columns: Columns) -> Any:
    before, after = columns.compared
    return composed(
        "plan_staged",
        before=before,
        after=after,
        changed=columns.changed,
        display_name=columns.display_name,
    )


def _row(connection: Connection[Any], name: str, parameters: dict[str, Any] | None = None) -> tuple[Any, ...]:
    row = connection.execute(statement(name), parameters).fetchone()
    return tuple(row or ())


def _deleted_names(connection: Connection[Any], limit: int) -> tuple[str, ...]:
    rows = connection.execute(statement("planned_names"), {"action": "delete", "limit": limit})
    return tuple(name or "(no name)" for (name,) in rows)


def _rejected_sample(connection: Connection[Any], limit: int) -> tuple[tuple[str, str], ...]:
    return tuple((dn, reason) for dn, reason in connection.execute(statement("rejected_sample"), {"limit": limit}))


def _key(definition: Definition) -> dict[str, Any]:
    return {"folder_id": definition.folder_id, "definition_id": definition.definition_id}
