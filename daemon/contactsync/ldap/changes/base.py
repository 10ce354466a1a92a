"""What the ways to learn what changed since the last run have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from contactsync.errors import DirectoryError


class CursorVoid(DirectoryError):
    """What changed since a cursor cannot be told; only a full search can bring the folder in step."""

    code = "directory.cursor"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where a folder is in step, in the words of one protocol, and of which server that is true.

    `kind` is the protocol's name, `value` its own octets. `server` stands for the very data that the cursor is of: a
    server with the same address and other data has another.
    """

    kind: str
    value: bytes
    server: bytes


@dataclass(slots=True)
class Changed:
    """Some of what changed: protocolOps of the entries that are new or different, and keys (see `identity`) of others.

    `gone` are no longer there, or no longer found by the filter; `present` are there and did not change.
    """

    entries: list[bytes] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)


class Changes(Protocol):
    """One way to learn what changed, over one connection and for one search.

    First `obstacle` is asked, then `mark` or `since`. Where it does not tell what changed (`tells_what`), but only that
    nothing did, `since` gives nothing or raises CursorVoid. After the last of `since`, `cursor` is the new one, and
    `all_listed` says whether whatever was neither sent nor named `present` is gone. `silent` are attributes (in lower
    case) whose values may change with another entry without a word. `confirm_seconds` is set when the server's log may
    still lack something: after that time the same question has to be asked again.
    """

    kind: str
    cursor: Cursor | None
    tells_what: bool
    all_listed: bool
    silent: frozenset[str]
    confirm_seconds: float | None

    def obstacle(self, *, quick: bool = False) -> str | None:
        """Why this way cannot be gone here, as the end of a sentence; None when it can. Raises DirectoryError.

        With `quick`, for which there has to be a cursor, what can be told while it is used is left to `since`.
        """

    def mark(self, before: Cursor | None = None) -> Cursor | None:
        """The cursor of this moment, for a full search that begins now; None when the server tells none.

        `before` is that of the last run, if the same is asked for.
        """

    def since(self, cursor: Cursor) -> Iterator[Changed]:
        """What changed since a cursor; raises CursorVoid, DirectoryError.

        After CursorVoid nothing is on its way any more: everything is then read over the same connection.
        """
