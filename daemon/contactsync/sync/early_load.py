"""The early load: a first load that is applied while the directory is still being read.

It is faster than staging everything first, but it keeps a transaction open while the server is being read. The reader
therefore has less time. If it needs more, or if an entry can only be judged beside all others, the early load is
undone, and the run reads everything again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from contactsync.errors import ContactsyncError, DatabaseConflict, DeadlineExceeded, ServerTimeout
from contactsync.model import MappedBatch, Plan
from contactsync.store.errors import translated
from contactsync.store.plan.plan import read_plan, require_unedited
from contactsync.store.plan.staging import SameThread, Staging
from contactsync.store.statements import composed, statement

if TYPE_CHECKING:
    from contactsync.ldap.connection.transport import Wire
    from contactsync.store.fingerprints import StoredContacts
    from contactsync.store.plan.columns import Columns
    from contactsync.sync.context import RunContext

SILENCE_SECONDS = 2.0
"""How long the server may be silent while the transaction is open."""
MOST_SECONDS = 60.0
"""How long the rest of the reading may take; a million entries took a third of it."""
_SWITCH_SECONDS, _USUAL_SWITCH_SECONDS = 0.0002, sys.getswitchinterval()
"""Python's thread switch interval during an early load, and otherwise: the latter lets both processors idle."""


@contextmanager
def _switching_often() -> Iterator[None]:
    """Shorten the switch interval of the process. If another load ends meanwhile, this one is only slower."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(_USUAL_SWITCH_SECONDS)


class EarlyLoadAborted(ContactsyncError):
    """The early load was undone for the reason in the message; the run can read everything again."""


class EarlyLoad(Staging):
    """Staging tables whose batches are inserted as contacts at once, in one transaction that others do not see.

    It deletes and updates nothing, so the guard has nothing to check. An error undoes it: EarlyLoadAborted is raised
    if the run may succeed without an early load, else the error itself.
    """

    def __init__(self, context: RunContext, columns: Columns, wire: Wire) -> None:
        super().__init__(context.connection, columns)
        self._definition = context.definition
        self._run_id = context.report.run_id
        self._wire = wire
        self._inserted = 0
        self._apply: sql.Composed | None = None
        self._limited = False
        self._is_small = False
        self.started = False

    @staticmethod
    def is_possible(context: RunContext, stored: StoredContacts) -> bool:
        """Whether this is the first attempt of a first load: the definition has no contacts and never had any."""
        return context.report.attempts == 1 and not stored and not stored.departed

    @contextmanager
    def beside(self, executor: Executor) -> Iterator[None]:
        """See Staging; undoes the load on an error."""
        try:
            self._is_small = isinstance(executor, SameThread)
            with nullcontext() if self._is_small else _switching_often(), super().beside(executor):
                yield
        except BaseException as error:
            # By the executor, after the batches that it has accepted.
            executor.submit(self._undo, error).result()
            raise

    def add(self, batch: MappedBatch, *, last: bool = False) -> None:
        """See Staging; after the first batch the server has less time."""
        super().add(batch, last=last)
        self._inserted += len(batch.keys)
        if not self._limited:
            self._wire.tighten_limits(seconds=MOST_SECONDS, receive_timeout=SILENCE_SECONDS)
            self._limited = True

    @contextmanager
    def committed(self) -> Iterator[Plan]:
        """Give the plan of what was inserted, and commit at the end of the block.

        The definition cannot be edited meanwhile. Raises RunCancelled if it was edited since the run has read it.
        """
        try:
            with translated():
                require_unedited(self._connection, self._definition)
                plan = replace(read_plan(self._connection), inserts=self._inserted, contacts=0)
            yield plan
            with translated():
                self._connection.execute("COMMIT")
        except BaseException as error:
            self._undo(error)
            raise

    def _stage(self, copies: Iterable[tuple[Any, bytes]]) -> None:
        with translated():
            if self._apply is None:
                self._create()
                self._connection.execute(statement("begin_first_load"))
                self.started = True
                self._apply = self._composed()
            super()._stage(copies)
            try:
                self._connection.execute(self._apply)
            except psycopg.errors.UniqueViolation:
                # Whether two entries have it, or an application wrote it, is known only when all entries are staged.
                raise DatabaseConflict("An identity came twice.") from None

    def _composed(self) -> sql.Composed:
        columns, folder_id = self._columns, sql.Literal(self._definition.folder_id)
        return composed(
            "apply_batch",
            folder_id=folder_id,
            definition_id=sql.Literal(self._definition.definition_id),
            run_id=sql.Literal(self._run_id),
            columns=columns.names,
            staged=columns.staged,
            display_name=sql.Identifier(columns.label),
            photos=composed("batch_photos", folder_id=folder_id) if columns.has_photo else sql.SQL(""),
            emptied=sql.SQL(statement("empty_few_staged" if self._is_small else "empty_staged")),
        )

    def _undo(self, error: BaseException) -> None:
        """Roll back; raise EarlyLoadAborted if the run may succeed without an early load."""
        if not self.started:
            return
        self.started = False
        with suppress(psycopg.Error):  # a broken connection has rolled back
            self._connection.execute("ROLLBACK")
        if isinstance(error, DeadlineExceeded):
            raise EarlyLoadAborted("Reading took too long for one transaction.") from None
        if isinstance(error, ServerTimeout | DatabaseConflict):
            raise EarlyLoadAborted(error.message) from None
