"""The interface of the methods by which a directory reports what changed since the last run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from contactsync.errors import DirectoryError


class CursorVoid(DirectoryError):
    """The changes since a cursor are not known; only a full search can bring the folder in sync."""

    code = "directory.cursor"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position up to which a folder is in sync.

    `kind` is the name of the method, `value` is in its own form. `server` identifies the server and its data: a server
    with the same address and other data has another.
    """

    kind: str
    value: bytes
    server: bytes


@dataclass(slots=True)
class Changed:
    """A part of the changes: protocolOps of new and changed entries, and keys (see `identity`) of others.

    `gone` entries were deleted or no longer match the filter; `present` entries exist and did not change.
    """

    entries: list[bytes] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)


class Changes(Protocol):
    """One method to learn what changed, for one search over one connection.

    Call `obstacle` first, then `current_cursor` or `since`. If `reports_entries` is false, the method only knows
    whether anything changed: `since` gives nothing, or raises CursorVoid. After the last of `since`:

    - `cursor` is the new cursor.
    - `all_listed`: entries that were neither sent nor named in `present` are gone.
    - `confirm_seconds`: if set, ask again after this time, because the server's log may still lack a change.

    The values of `unreported_attributes` (in lower case) may change without a report of the entry.
    """

    kind: str
    cursor: Cursor | None
    reports_entries: bool
    all_listed: bool
    unreported_attributes: frozenset[str]
    confirm_seconds: float | None

    def obstacle(self, *, quick: bool = False) -> str | None:
        """Why this method is unavailable here, as a clause; None if it is available. Raises DirectoryError.

        With `quick`, which needs a cursor, the checks that `since` makes as well are left to it.
        """

    def current_cursor(self, before: Cursor | None = None) -> Cursor | None:
        """The cursor for a full search that begins now; None if the server gives none.

        `before` is the cursor of the last run, if that was for the same search.
        """

    def since(self, cursor: Cursor) -> Iterator[Changed]:
        """The changes since a cursor; raises CursorVoid, DirectoryError.

        After CursorVoid the connection can be used for a full search: no response is outstanding.
        """
