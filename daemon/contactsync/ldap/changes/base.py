"""The interface of the methods by which a directory reports what changed since the last run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from contactsync.errors import CursorVoid
from contactsync.ldap.connection.session import Session
from contactsync.ldap.search import SearchRequest


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


class Changes(ABC):
    """One method to learn what changed, for one search over one connection. `identity` are the attributes of the key.

    Call `obstacle` first, then `current_cursor` or `since`. If `reports_entries` is false, the method only knows
    whether anything changed: `since` gives nothing, or raises CursorVoid. After the last of `since`:

    - `cursor` is the new cursor.
    - `all_listed`: entries that were neither sent nor named in `present` are gone.
    - `confirm_seconds`: if set, ask again after this time, because the server's log may still lack a change.

    The values of `unreported_attributes` (in lower case) may change without a report of the entry.
    """

    reports_entries = True

    def __init__(self, session: Session, request: SearchRequest, identity: Sequence[str]) -> None:
        self.cursor: Cursor | None = None
        self.all_listed = False
        self.unreported_attributes: frozenset[str] = frozenset()
        self.confirm_seconds: float | None = None
        self._session = session
        self._request = request
        self._identity = identity

    def obstacle(self, *, quick: bool = False) -> str | None:
        """Why this method is unavailable here, as a clause; None if it is available. Raises DirectoryError.

        With `quick`, which needs a cursor, the checks that `since` makes as well are left to it.
        """
        context = self._session.root_dse.naming_context_of(self._request.base)
        if context is None:
            return f"the server names no naming context for {self._request.base or 'the empty base'}"
        return self._obstacle(context, quick=quick)

    @abstractmethod
    def _obstacle(self, context: str, *, quick: bool) -> str | None: ...

    @abstractmethod
    def current_cursor(self, before: Cursor | None = None) -> Cursor | None:
        """The cursor for a full search that begins now; None if the server gives none.

        `before` is the cursor of the last run, if that was for the same search.
        """

    @abstractmethod
    def since(self, cursor: Cursor) -> Iterator[Changed]:
        """The changes since a cursor; raises CursorVoid, DirectoryError.

        After CursorVoid the connection can be used for a full search: no response is outstanding.
        """

    def _void(self, what: str) -> CursorVoid:
        return CursorVoid(f"{self._session.server} {what}.", hint="Everything is read instead.")
