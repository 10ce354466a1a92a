"""Changed entries on their way to the plan: temporary tables of the run's own connection, filled by COPY."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any

from psycopg import sql

from contactsync.fields import EXTRA_PREFIX, PHOTO, Kind, kind_of
from contactsync.model import MappedBatch, RejectedEntry
from contactsync.store.errors import translated
from contactsync.store.plan import copy_format
from contactsync.store.plan.columns import PHOTO_DIGEST
from contactsync.store.statements import composed, statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.store.plan.columns import Columns

PHOTO_DIGEST_BYTES = 16
_UNSEEN_AT_ONCE = 50_000
_MOST_BESIDE = 3
"""Batches on their way to PostgreSQL while the next one is made, so that neither side waits whenever the other does."""

Cells = list[str]


class Staging:
    """The staging tables of one attempt. They are made when the first row needs them: most runs find nothing new."""

    def __init__(self, connection: Connection[Any], columns: Columns) -> None:
        self._connection = connection
        self._columns = columns
        self._created = False
        self._beside: Executor | None = None
        self._sent: deque[Future[None]] = deque()
        self.rows = 0
        self.names = 0
        self.photos = False
        """Whether an entry has one."""

    @contextmanager
    def beside(self, executor: Executor) -> Iterator[None]:
        """Within its block, `add` returns while PostgreSQL is still at the rows: the caller makes the next meanwhile.

        The connection is the executor's alone until the block has ended. Raises DatabaseError for what was added last.
        """
        self._beside = executor
        try:
            yield
            self._wait()
        finally:
            self._beside = None
            self._sent.clear()  # what failed would keep the connection, and itself, from being freed

    def add(self, batch: MappedBatch) -> None:
        """Write a batch, in a short transaction of its own. Raises DatabaseError, also for those before."""
        cells = _staged(batch, self._columns)
        names = sql.SQL(", ").join(map(sql.Identifier, cells))
        copies = [
            (composed("copy_staged", columns=names), copy_format.copy_block(list(cells.values()))),
            (statement("copy_rejected"), copy_format.copy_block(_rejected(batch.rejected))),
        ]
        self.rows += len(batch.keys) + len(batch.rejected)
        self.photos = self.photos or PHOTO in cells
        if self._beside is None:
            self._stage(copies)
        else:
            self._wait(_MOST_BESIDE - 1)
            self._sent.append(self._beside.submit(self._stage, copies))

    def name(self, keys: Sequence[str]) -> None:
        """Note keys that the directory named. Raises DatabaseError."""
        self.names += len(keys)
        self._wait()
        self._copy([(statement("copy_named"), copy_format.copy_block([copy_format.plain(keys)]))])

    def tell(self, keys: Sequence[str]) -> None:
        """Note keys of entries that changed or are gone, to be compared with a plan. Raises DatabaseError."""
        self._wait()
        self._copy([(statement("copy_reported"), copy_format.copy_block([copy_format.plain(keys)]))])

    def close(self, unmatched: Iterable[tuple[int, bytes]] = ()) -> None:
        """Say which contacts were not met, by id and fingerprint; the tables are then ready for the plan."""
        rest = iter(unmatched)
        for some in iter(partial(_some, rest), []):
            ids, fingerprints = zip(*some, strict=True)
            block = copy_format.copy_block([list(map(str, ids)), copy_format.octets(fingerprints)])
            self._copy([(statement("copy_unmatched"), block)])
        with translated(), self._connection.transaction():
            self._create()
            self._connection.execute(statement("few_statistics"))
            self._connection.execute(statement("analyze_run_tables"))

    def _wait(self, most: int = 0) -> None:
        """Return when no more than `most` batches are on their way. Raises DatabaseError for what was added before."""
        while len(self._sent) > most:
            self._sent.popleft().result()

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
        # An attempt that failed in the middle may have left its own. All in one, since small runs wait for it.
        create = composed("create_staging", columns=self._columns.staged_definitions)
        parts = [sql.SQL(statement("drop_run_tables")), create, sql.SQL(statement("create_plan_tables"))]
        self._connection.execute(sql.SQL(";\n").join(parts))
        self._created = True


def _some(rest: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return list(islice(rest, _UNSEEN_AT_ONCE))


def _staged(batch: MappedBatch, columns: Columns) -> dict[str, Cells]:
    """The staged columns by name, without those that are blank throughout."""
    staged = {
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
            staged[PHOTO_DIGEST] = copy_format.octets(map(_photo_digest, values))
            staged[PHOTO] = copy_format.octets(values)
        else:
            staged[field] = (
                copy_format.text_arrays(values) if kind_of(field) is Kind.LIST else copy_format.texts(values)
            )
    if extra:
        rows = zip(*extra.values(), strict=True)
        staged["extra"] = copy_format.json_objects(dict(zip(extra, row, strict=True)) for row in rows)
    return staged


def _photo_digest(photo: bytes | None) -> bytes | None:
    return None if photo is None else blake2b(photo, digest_size=PHOTO_DIGEST_BYTES).digest()


def _rejected(entries: Sequence[RejectedEntry]) -> list[Cells]:
    keys = [copy_format.NULL if entry.key is None else copy_format.plain([entry.key])[0] for entry in entries]
    return [
        keys,
        copy_format.plain([entry.dn for entry in entries]),
        copy_format.plain([entry.reason for entry in entries]),
    ]
