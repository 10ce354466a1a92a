"""Applies a first load lot by lot, in one transaction that is open while the directory is still being read.

It updates and deletes nothing, so that the guard could hold nothing of it; and what it inserts is seen by nobody until
the snapshot has turned out to be complete and the transaction is committed.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from contactsync.errors import DatabaseConflict
from contactsync.store.errors import translated
from contactsync.store.plan.plan import read_plan, require_unedited
from contactsync.store.statements import composed, statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition, Plan
    from contactsync.store.plan.columns import Columns


class FirstLoad:
    """The transaction of the first load of a definition that brought nothing yet, and of whose contacts none departed.

    Every method but `abandon` raises DatabaseError.
    """

    def __init__(self, connection: Connection[Any], definition: Definition, columns: Columns, *, run_id: int) -> None:
        self._connection = connection
        self._definition = definition
        self._inserted = 0
        self._columns = columns
        self._run_id = run_id
        self._apply: sql.Composed | None = None
        self.begun = False

    def begin(self) -> None:
        """Begin the transaction, once; the staging tables are to be made in it."""
        if not self.begun:
            with translated():
                self._connection.execute(statement("begin_first_load"))
            self.begun = True

    def apply(self, rows: int) -> None:
        """Insert so many staged rows, with their history, and empty the staging table.

        Raises DatabaseConflict for an identity that is there already: whether two entries have it, or somebody wrote
        it, and what is to become of them, is only known when all are there.
        """
        if self._apply is None:
            self._apply = self._composed()
        with translated():
            try:
                self._connection.execute(self._apply)
            except psycopg.errors.UniqueViolation:
                raise DatabaseConflict("An identity came twice.") from None
        self._inserted += rows

    def plan(self) -> Plan:
        """What was done, once all is applied; nobody can edit the definition from here on.

        Raises RunCancelled when somebody did.
        """
        with translated():
            require_unedited(self._connection, self._definition)
            return replace(read_plan(self._connection), inserts=self._inserted, contacts=0)

    def commit(self) -> None:
        """Let all of it be seen."""
        with translated():
            self._connection.execute("COMMIT")
        self.begun = False

    def abandon(self) -> None:
        """Undo all of it."""
        if self.begun:
            self.begun = False
            with suppress(psycopg.Error):  # a connection that is gone has undone it
                self._connection.execute("ROLLBACK")

    def _composed(self) -> sql.Composed:
        columns, folder_id = self._columns, sql.Literal(self._definition.folder_id)
        return composed(
            "apply_lot",
            folder_id=folder_id,
            definition_id=sql.Literal(self._definition.definition_id),
            run_id=sql.Literal(self._run_id),
            columns=columns.names,
            staged=columns.staged,
            display_name=columns.label,
            photos=composed("lot_photos", folder_id=folder_id) if columns.has_photo else sql.SQL(""),
        )
