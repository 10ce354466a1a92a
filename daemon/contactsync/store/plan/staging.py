"""The staging tables: temporary tables of the run's connection, filled by COPY with the changed entries."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from psycopg import Connection, sql

from contactsync.fields import EXTRA_PREFIX, PHOTO, Kind, kind_of, photo_digest
from contactsync.store.errors import translated
from contactsync.store.plan import copy_format
from contactsync.store.plan.columns import PHOTO_DIGEST
from contactsync.store.plan.run_tables import make_run_tables, need_statistics
from contactsync.store.statements import composed, statement

if TYPE_CHECKING:
    from contactsync.model import MappedBatch, RejectedEntry
    from contactsync.store.plan.columns import Columns

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_UNMATCHED_ROWS = 50_000
"""Rows of one COPY of unmatched contacts."""
_QUEUED_BATCHES = 3
"""Batches that wait for PostgreSQL while the next one is mapped, so that short delays of either side do no harm."""


class SameThread(Executor):
    """Calls each function at once, in the thread that submits it."""

    def submit(
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """See Executor."""
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  (`result` raises it, as for another thread)
            future.set_exception(error)
        return future


class Staging:
    """The staging tables of one attempt, made or emptied for the first row: most runs find no changes."""

    def __init__(self, connection: Connection[Any], columns: Columns) -> None:
        self._connection = connection
        self._columns = columns
        self._created = False
        self._executor: Executor | None = None
        self._queue: deque[Future[None]] = deque()
        self.rows = 0
        self.names = 0
        self.photos = False
        """Whether a staged entry has a photo."""
        self.analyzed = True
        """Whether the tables have new statistics."""

    @contextmanager
    def beside(self, executor: Executor) -> Iterator[None]:
        """Within the block, `add` only queues a batch, and `executor` (at most one thread) sends it to PostgreSQL.

        Until the block has ended, only the executor may use the connection. Raises DatabaseError for queued batches.
        """
        self._executor = executor
        try:
            yield
            self._wait()
        finally:
            self._executor = None
            self._queue.clear()  # a failed future would keep the connection from being freed

    def add(self, batch: MappedBatch, *, last: bool = False) -> None:
        """Stage a batch in a transaction of its own, the last one at once. Raises DatabaseError, also for others."""
        cells = _cells(batch, self._columns)
        copies = [
            (_copy_staged(tuple(cells)), copy_format.copy_block(list(cells.values()))),
            (statement("copy_rejected"), copy_format.copy_block(_rejected_cells(batch.rejected))),
        ]
        self.rows += len(batch.keys) + len(batch.rejected)
        self.photos = self.photos or PHOTO in cells
        if self._executor is None or last:
            self._wait()
            self._stage(copies)
        else:
            self._wait(_QUEUED_BATCHES - 1)
            self._queue.append(self._executor.submit(self._stage, copies))

    def add_named(self, keys: Sequence[str]) -> None:
        """Stage keys that the directory listed as present or as deleted. Raises DatabaseError."""
        self.names += len(keys)
        self._wait()
        self._copy([(statement("copy_named"), copy_format.copy_block([copy_format.plain(keys)]))])

    def add_reported(self, keys: Sequence[str]) -> None:
        """Stage keys of changed and deleted entries, to compare them with a plan. Raises DatabaseError."""
        self._wait()
        self._copy([(statement("copy_reported"), copy_format.copy_block([copy_format.plain(keys)]))])

    def close(self, unmatched: Iterable[tuple[int, bytes]] = ()) -> None:
        """Stage id and fingerprint of the unmatched contacts, and prepare the tables for the plan. DatabaseError."""
        rest, number = iter(unmatched), 0
        while rows := list(islice(rest, _UNMATCHED_ROWS)):
            number += len(rows)
            ids, fingerprints = zip(*rows, strict=True)
            block = copy_format.copy_block([list(map(str, ids)), copy_format.octets(fingerprints)])
            self._copy([(statement("copy_unmatched"), block)])
        with translated():
            self._create()
        self.analyzed = need_statistics(self._connection, rows=self.rows + self.names + number)
        if self.analyzed:
            with translated(), self._connection.pipeline(), self._connection.transaction():
                self._connection.execute(statement("small_sample"))
                self._connection.execute(statement("analyze_run_tables"))

    def _wait(self, most: int = 0) -> None:
        """Wait until at most `most` batches are queued."""
        while len(self._queue) > most:
            self._queue.popleft().result()

    def _stage(self, copies: Iterable[tuple[Any, bytes]]) -> None:
        self._copy(copies)

    def _copy(self, copies: Iterable[tuple[Any, bytes]]) -> None:
        for command, block in copies:
            if block:
                with translated():
                    self._create()
                    with self._connection.cursor() as cursor, cursor.copy(command) as copy:
                        copy.write(block)

    def _create(self) -> None:
        if self._created:
            return
        make_run_tables(self._connection)
        self._created = True


@lru_cache(maxsize=64)
def _copy_staged(names: tuple[str, ...]) -> bytes:
    return composed("copy_staged", columns=sql.SQL(", ").join(map(sql.Identifier, names))).as_bytes()


def _cells(batch: MappedBatch, columns: Columns) -> dict[str, list[str]]:
    """The cells of each column of the staging table; columns without any value are omitted."""
    cells = {
        "source_key": copy_format.plain(batch.keys),
        "source_dn": copy_format.plain(batch.dns),
        "fingerprint": copy_format.octets(batch.fingerprints),
    }
    extra: dict[str, list[Any]] = {}
    for field, values in zip(columns.fields, batch.columns, strict=True):
        if values is None:
            continue
        if field.startswith(EXTRA_PREFIX):
            extra[field.removeprefix(EXTRA_PREFIX)] = values
        elif kind_of(field) is Kind.PHOTO:
            cells[PHOTO_DIGEST] = copy_format.octets(map(_photo_digest, values))
            cells[PHOTO] = copy_format.octets(values)
        else:
            cells[field] = copy_format.text_arrays(values) if kind_of(field) is Kind.LIST else copy_format.texts(values)
    if extra:
        rows = zip(*extra.values(), strict=True)
        cells["extra"] = copy_format.json_objects(dict(zip(extra, row, strict=True)) for row in rows)
    return cells


def _photo_digest(photo: bytes | None) -> bytes | None:
    return None if photo is None else photo_digest(photo)


def _rejected_cells(entries: Sequence[RejectedEntry]) -> list[list[str]]:
    keys = [copy_format.NULL if entry.key is None else copy_format.plain([entry.key])[0] for entry in entries]
    return [
        keys,
        copy_format.plain([entry.dn for entry in entries]),
        copy_format.plain([entry.reason for entry in entries]),
    ]
