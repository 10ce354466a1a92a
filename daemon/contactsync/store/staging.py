"""Changed entries on their way to the plan: temporary tables of the run's own connection, filled by COPY."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from contactsync.fields import EXTRA_PREFIX, Kind, kind_of
from contactsync.model import MappedEntry, RejectedEntry
from contactsync.store import copytext
from contactsync.store.errors import translated
from contactsync.store.statements import composed, statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.store.columns import Columns

PHOTO_DIGEST_BYTES = 16


class Staging:
    """The staging tables of one attempt. They are made when the first row needs them: most runs find nothing new."""

    def __init__(self, connection: Connection[Any], columns: Columns) -> None:
        self._connection = connection
        self._columns = columns
        self._row = _row_writer(columns)
        self._created = False
        self.rows = 0

    def add(self, entries: Sequence[MappedEntry], rejected: Sequence[RejectedEntry]) -> None:
        """Write one page's entries, in a short transaction of its own. Raises DatabaseError."""
        self._copy(composed("copy_staged", columns=self._columns.staged_names), map(self._row, entries))
        self._copy(statement("copy_rejected"), map(_rejected_row, rejected))
        self.rows += len(entries) + len(rejected)

    def close(self, unseen: Iterable[bytes]) -> None:
        """Say which fingerprints nothing in the directory had; the tables are then ready for the plan."""
        self._copy(statement("copy_unseen"), ((copytext.octets(fingerprint),) for fingerprint in unseen))
        with translated():
            self._create()
            self._connection.execute(statement("analyze_run_tables"))

    def _copy(self, command: Any, rows: Iterable[Sequence[str]]) -> None:
        block = copytext.copy_block(rows)
        if not block:
            return
        with translated():
            self._create()
            with self._connection.cursor() as cursor, cursor.copy(command) as copy:
                copy.write(block)

    def _create(self) -> None:
        if self._created:
            return
        # An attempt that failed in the middle may have left its own.
        self._connection.execute(statement("drop_run_tables"))
        self._connection.execute(composed("create_staging", columns=self._columns.staged_definitions))
        for create in statement("create_plan_tables").split(";\n"):
            self._connection.execute(create)
        self._created = True


def _row_writer(columns: Columns) -> Any:
    """A function from a MappedEntry to the text values of its staged row, in the order of `staged_names`."""
    plain = [(index, _writer(name)) for index, name in enumerate(columns.fields) if not name.startswith(EXTRA_PREFIX)]
    photo = next((index for index, name in enumerate(columns.fields) if kind_of(name) is Kind.PHOTO), None)
    extra = [
        (index, name.removeprefix(EXTRA_PREFIX))
        for index, name in enumerate(columns.fields)
        if name.startswith(EXTRA_PREFIX)
    ]

    def row(entry: MappedEntry) -> list[str]:
        values = entry.values
        cells = [copytext.plain(entry.key), copytext.plain(entry.dn), "\\x" + entry.fingerprint.hex()]
        cells += [write(values[index]) for index, write in plain]
        if extra:
            cells.append(copytext.json_object({name: values[index] for index, name in extra}))
        if photo is not None:
            cells.append(copytext.octets(values[photo]))
        return cells

    return row


def _photo_digest(photo: bytes | None) -> str:
    return copytext.octets(None if photo is None else blake2b(photo, digest_size=PHOTO_DIGEST_BYTES).digest())


_WRITERS: dict[Kind, copytext.Writer] = {
    Kind.TEXT: copytext.text,
    Kind.LIST: copytext.text_array,
    Kind.PHOTO: _photo_digest,
}


def _writer(field: str) -> copytext.Writer:
    kind = kind_of(field)
    if kind is None:
        message = f"no contact field is named {field}"
        raise ValueError(message)
    return _WRITERS[kind]


def _rejected_row(entry: RejectedEntry) -> tuple[str, str, str]:
    key = None if entry.key is None else copytext.plain(entry.key)
    return copytext.text(key), copytext.plain(entry.dn), copytext.plain(entry.reason)
