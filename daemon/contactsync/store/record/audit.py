"""The audit: who did what, written in the transaction of the deed. Triggers write the rows of edits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from contactsync.store.errors import translated
from contactsync.store.statements import execute, read_rows

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One deed; `before` and `after` have the changed fields."""

    audit_id: int
    at: datetime
    actor_kind: str
    actor: str
    via: str
    how: str | None
    address: str | None
    database_role: str
    action: str
    folder_id: int | None
    definition_id: int | None
    label: str | None
    run_id: int | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@contextmanager
def acting(connection: Connection[Any], actor: Actor) -> Iterator[None]:
    """A transaction, or a part of the caller's, whose edits are this actor's. Raises DatabaseError."""
    with translated(), connection.transaction():
        execute(connection, "set_actor", actor=json.dumps(asdict(actor)))
        yield


def confirm_locally(connection: Connection[Any]) -> None:
    """Let the commit of this transaction wait for this server's disk, but for no standby. Raises DatabaseError."""
    execute(connection, "confirm_locally")


def write_audit(
    connection: Connection[Any],
    action: str,
    *,
    key: Mapping[str, int] | None = None,
    label: str | None = None,
    run_id: int | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Record a deed that is no edit, about the definition with this key, inside `acting`. Raises DatabaseError."""
    details = None if after is None else Jsonb(dict(after))
    values = {"action": action, "label": label, "run_id": run_id, "after": details}
    execute(connection, "write_audit", **{"folder_id": None, "definition_id": None, **(key or {})}, **values)


def read_audit(
    connection: Connection[Any],
    definition_ids: Sequence[int] | None = None,
    *,
    folder_ids: list[int] | None = None,
    actions: Sequence[str] | None = None,
    before: int | None = None,
    limit: int,
) -> list[AuditRow]:
    """The newest deeds, newest first: of some definitions and folders, or all. Raises DatabaseError."""
    ids = None if definition_ids is None else list(definition_ids)
    values = {"definition_ids": ids, "folder_ids": folder_ids, "before_id": before, "limit": limit}
    return read_rows(
        connection, class_row(AuditRow), "audit", **values, actions=None if actions is None else list(actions)
    )


def forget_audit(connection: Connection[Any], *, keep_days: int) -> int:
    """Delete rows older than this; returns their number. Raises DatabaseError."""
    return execute(connection, "forget_audit", keep_days=keep_days).rowcount if keep_days else 0
