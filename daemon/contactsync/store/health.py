"""How the folders do, in a few numbers; cheap enough to be looked at every few seconds."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from contactsync.store.errors import translated
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection


def count_by_state(connection: Connection[Any]) -> list[tuple[str, int, str, str | None, datetime | None]]:
    """Per state: it, how many folders, the first one's label and last error code, and when any folder runs next.

    A folder is counted once, by the worst state of its definitions. The states are those of the view
    `definition_overview`. Raises DatabaseError.
    """
    with translated():
        return connection.execute(statement("count_by_state")).fetchall()


def read_health(connection: Connection[Any]) -> list[dict[str, Any]]:
    """Per definition: definition_id, folder, definition, state, last_success_at and since. Raises DatabaseError.

    `since` is the last success or, before the first one, when the definition was created.
    """
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement("definition_health")).fetchall()
