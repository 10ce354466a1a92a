"""The plan of a run and its apply: which contacts to insert, update, refresh and delete, with values before and after.

It is a temporary table (`planned`), made from the staged rows. The guard, the apply and the history use the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from psycopg import Connection, Cursor, Transaction

from contactsync.errors import RunCancelled
from contactsync.model import Absence, Definition, Plan, TrimmedValue
from contactsync.store.errors import translated
from contactsync.store.plan.columns import blank, statement_of
from contactsync.store.session import require_usable
from contactsync.store.statements import composed, statement

if TYPE_CHECKING:
    from contactsync.store.plan.columns import Columns

INTERNAL = ["folder_id", "contact_id", "definition_id", "source_key", "fingerprint", "created_at", "updated_at"]
"""Columns that are not fields of a contact, and are not part of its history."""


@contextmanager
def applying(connection: Connection[Any], definition: Definition) -> Iterator[None]:
    """One repeatable-read transaction for the plan, the guard and the apply; psycopg.Rollback ends it without effect.

    Raises RunCancelled if the definition was edited or removed since the run read it, DatabaseConflict if another
    session wrote one of the planned contacts at the same time, DatabaseError.
    """
    with translated(), ExitStack() as stack:
        with connection.pipeline():  # one round trip
            # Not `connection.transaction()`, which would keep the pipeline open until its end.
            stack.enter_context(Transaction(connection))
            connection.execute(statement("repeatable_read"))
            connection.execute(statement("plan_memory"))
            found = _lock(connection, definition)
            require_usable(connection, getattr(connection, "server_pid", None))
            _require_revision(definition, found)
        yield


def require_unedited(connection: Connection[Any], definition: Definition) -> None:
    """Lock the definition against edits until the transaction ends. Raises RunCancelled, psycopg.Error."""
    _require_revision(definition, _lock(connection, definition))


def _lock(connection: Connection[Any], definition: Definition) -> Cursor[Any]:
    return connection.execute(statement("definition_unchanged"), definition.key)


def _require_revision(definition: Definition, found: Cursor[Any]) -> None:
    if definition.definition_id < 0:  # the preview of a definition that is not stored
        return
    row = found.fetchone()
    if row is None or row[0] != definition.revision:
        raise RunCancelled(
            f"{definition.label} was edited or removed while it was being synchronized.",
            hint="Nothing was changed; the next run uses the new definition.",
        )


def make_plan(
    connection: Connection[Any],
    definition: Definition,
    columns: Columns,
    *,
    absence: Absence = Absence.UNMATCHED,
    everything: bool = False,
    analyze: bool = True,
) -> Plan:
    """Fill `planned` from the staging tables, in the transaction that will apply it. Raises psycopg.Error.

    `absence` says how to find the contacts whose entries are changed or gone. `everything` says that all entries are
    staged, and not only those without a matching fingerprint. `analyze` says that the contacts to be found may be many.
    """
    key = definition.key
    # One round trip, since small runs wait for it.
    with connection.pipeline():
        connection.execute(statement(f"find_unconfirmed_{absence}"), key)
        if analyze:
            connection.execute(statement("analyze_unconfirmed"))
        connection.execute(statement("reject_duplicates"))
        connection.execute(statement("drop_rejected"))
        connection.execute(statement_of("plan_staged", columns), {**key, "everything": everything})
        connection.execute(statement("reject_twins"))
        connection.execute(statement("plan_deletes"), {**key, "internal": INTERNAL})
        return read_plan(connection)


def read_plan(connection: Connection[Any], *, sample: int = 5) -> Plan:
    """The numbers of `planned` and `rejected`, with up to `sample` names of each. Raises psycopg.Error."""
    inserts, updates, refreshes, deletes, rejected, returned, clears = _row(connection, "count_planned")
    limit = {"limit": sample}
    names = connection.execute(statement("deleted_names"), limit) if deletes else ()
    rejections = connection.execute(statement("rejected_sample"), limit) if rejected else ()
    return Plan(
        inserts,
        updates,
        refreshes,
        deletes,
        rejected,
        returned,
        clears=clears,
        deleted_names=tuple(name or "(no name)" for (name,) in names),
        rejected_sample=tuple((dn, reason) for dn, reason in rejections),
    )


def count_contacts(connection: Connection[Any], definition: Definition, *, most: int | None = None) -> int:
    """The number of contacts of the definition, counted up to `most`. Raises psycopg.Error."""
    return int(_row(connection, "count_contacts", {**definition.key, "most": most})[0])


def read_cleared(connection: Connection[Any], *, above: int) -> dict[str, int]:
    """The fields that more than `above` updates of the plan would leave blank, and in how many contacts; most first.

    Raises psycopg.Error.
    """
    return dict(connection.execute(statement("cleared_fields"), {"above": above}).fetchall())


def count_filled(connection: Connection[Any], definition: Definition, field: str, *, most: int | None = None) -> int:
    """The number of contacts of the definition that have a value of the field, up to `most`. Raises psycopg.Error."""
    query = composed("count_filled", blank=blank(field))
    row = connection.execute(query, {**definition.key, "most": most}).fetchone()
    return int(row[0]) if row else 0


def read_unreported(
    connection: Connection[Any], *, all_listed: bool, unreported_fields: Sequence[str] = (), limit: int = 20
) -> tuple[int, tuple[str, ...]]:
    """How many planned changes the directory did not report, and the first ones as `update of Anna Smith`.

    Updates of `unreported_fields` only do not count. For use after `make_plan`, with the keys of all reported entries
    staged. Raises psycopg.Error.
    """
    values = {"all_listed": all_listed, "unreported_fields": list(unreported_fields), "limit": limit}
    rows = connection.execute(statement("unreported"), values).fetchall()
    return (rows[0][0] if rows else 0), tuple(f"{action} of {name or '(no name)'}" for _, action, name in rows)


def knows_source(connection: Connection[Any], definition: Definition, digest: bytes) -> bool:
    """Whether the folder was last filled from the source with this digest, or never. Raises psycopg.Error."""
    row = connection.execute(statement("source_digest"), definition.key).fetchone()
    return row is None or row[0] is None or row[0] == digest


def record_rejected(connection: Connection[Any], definition: Definition, *, run_id: int, limit: int = 1000) -> None:
    """Record up to `limit` rejected entries of the run. Raises psycopg.Error."""
    connection.execute(statement("record_rejected"), {**definition.key, "run_id": run_id, "limit": limit})


def record_trimmed(
    connection: Connection[Any], definition: Definition, values: Sequence[TrimmedValue], *, run_id: int
) -> None:
    """Record values that the run dropped or changed. Raises psycopg.Error."""
    if values:
        rows = [{"folder_id": definition.folder_id, "run_id": run_id, **asdict(value)} for value in values]
        with connection.cursor() as cursor:
            cursor.executemany(statement("record_trimmed"), rows)


def apply_plan(
    connection: Connection[Any],
    definition: Definition,
    columns: Columns,
    plan: Plan,
    *,
    run_id: int,
    photos: bool = True,
) -> None:
    """Delete, refresh, update and insert the planned contacts and their photos, and record the history.

    `photos` says whether a staged entry has a photo. The plan contains contacts of the definition only, so no other
    row is written. Raises psycopg.Error.
    """
    key = {**definition.key, "run_id": run_id}
    connection.execute(statement("apply_setting"))
    if plan.deletes:
        connection.execute(statement("apply_deletes"), key)
    if plan.refreshes:
        connection.execute(statement("apply_refreshes"), key)
    if plan.rekeyed:
        connection.execute(statement("apply_rekeys"), key)
    if plan.updates:
        connection.execute(statement_of("apply_updates", columns), key)
    if plan.inserts:
        connection.execute(statement_of("apply_inserts", columns), key)
    if plan.returned:
        connection.execute(statement("forget_returned"), key)
    if columns.has_photo and photos and (plan.inserts or plan.updates):
        connection.execute(statement("apply_photos"), key)
    if columns.has_photo and plan.updates:
        connection.execute(statement("drop_photos"), key)
    if plan.changes:
        connection.execute(statement("record_changes"), key)


def _row(connection: Connection[Any], name: str, parameters: dict[str, Any] | None = None) -> tuple[Any, ...]:
    return tuple(connection.execute(statement(name), parameters).fetchone() or ())
