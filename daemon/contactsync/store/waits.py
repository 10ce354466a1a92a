"""Reports when PostgreSQL keeps contactsync waiting: for a synchronous standby, for a lock, or without an answer."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from contactsync.errors import DatabaseError
from contactsync.store.errors import translated
from contactsync.store.session import connect
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from psycopg import Connection

log = structlog.get_logger()

WAIT_SECONDS = 5.0
"""How long a session waits before it is reported. A lock of another session is waited for two seconds only."""
ANSWER_SECONDS = 30.0
"""How long PostgreSQL may take to answer a short query before that is reported."""
_POLL_SECONDS = 1.0
_NAME = "contactsync-waits"
_STANDBY = "waits for a synchronous standby to confirm a commit"
STANDBY_HINT = "Start the standby, or take it out of synchronous_standby_names and reload PostgreSQL."


class Wait(NamedTuple):
    """A session that waits: for a standby or a lock. `folder` is None for a session without a run."""

    pid: int
    query_start: datetime
    for_standby: bool
    folder: str | None
    blockers: list[int]

    @property
    def reason(self) -> str:
        """A clause about contactsync."""
        if self.for_standby:
            return _STANDBY
        return f"waits for a lock of PostgreSQL's process {', '.join(map(str, self.blockers)) or 'that has just ended'}"


class WaitWatch:
    """A thread that looks for waits, over a connection that never writes and so never waits for a standby.

    A commit that no standby confirms has no limit in PostgreSQL, and to cancel the wait would leave it open whether
    the commit is lost with the primary. So runs wait, and this says why.
    """

    def __init__(
        self, conninfo: str, *, wait_seconds: float = WAIT_SECONDS, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._conninfo = conninfo
        self._wait_seconds = wait_seconds
        self._answer_seconds = answer_seconds
        self._silence_logged = False
        self._stopping = threading.Event()
        self._since: dict[tuple[int, datetime], float] = {}
        self._long: dict[tuple[int, datetime], Wait] = {}
        self._asked_at: float | None = None
        self._thread = threading.Thread(target=self._serve, name="wait-watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float = 5) -> None:
        """Stop the thread."""
        self._stopping.set()
        self._thread.join(timeout)

    @property
    def waiting(self) -> int:
        """The number of sessions that have waited for a while."""
        return len(self._long)

    @property
    def problem(self) -> str | None:
        """Why PostgreSQL delays the daemon, as a clause; None if it does not."""
        waits = list(self._long.values())
        if silence := self._silence():
            return f"PostgreSQL has not answered for {silence:.0f} seconds"
        if not waits:
            return None
        folders = sorted({wait.folder for wait in waits if wait.folder})
        return f"contactsync {waits[0].reason}" + (f" ({', '.join(folders[:3])})" if folders else "")

    def log_silence(self) -> None:
        """Log once that PostgreSQL does not answer, from another thread: this one waits for the answer."""
        silence = self._silence()
        if silence and not self._silence_logged:
            log.warning("database.silent", seconds=round(silence))
        self._silence_logged = bool(silence)

    def _silence(self) -> float:
        """Seconds without an answer; 0 if that is no longer than usual."""
        asked_at = self._asked_at
        seconds = 0.0 if asked_at is None else time.monotonic() - asked_at
        return seconds if seconds > self._answer_seconds else 0.0

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._asked_at = time.monotonic()
            try:
                with translated(), connect(self._conninfo, application_name=_NAME) as connection:
                    while not self._stopping.is_set():
                        self._look(connection)
                        self._stopping.wait(_POLL_SECONDS)
            except DatabaseError:  # the watch of the definitions reports it
                self._note([])
            finally:
                self._asked_at = None
            self._stopping.wait(_POLL_SECONDS)

    def _look(self, connection: Connection[Any]) -> None:
        self._asked_at = time.monotonic()
        waits = _waits(connection)
        self._asked_at = None
        self._note(waits)

    def _note(self, waits: list[Wait]) -> None:
        """Log a wait once it has become long, and the end of all long ones."""
        now = time.monotonic()
        current = {(wait.pid, wait.query_start): wait for wait in waits}
        self._since = {key: self._since.get(key, now) for key in current}
        before = self._long
        self._long = {key: wait for key, wait in current.items() if now - self._since[key] >= self._wait_seconds}
        for key in self._long.keys() - before.keys():
            wait = self._long[key]
            hint = STANDBY_HINT if wait.for_standby else "End that transaction with pg_terminate_backend()."
            log.warning(
                "database.waiting",
                folder=wait.folder,
                reason=wait.reason,
                backend=wait.pid,
                seconds=round(now - self._since[key]),
                hint=hint,
            )
        if before and not self._long:
            log.info("database.waiting_ended")


def read_waits(conninfo: str) -> list[Wait]:
    """The sessions of contactsync that wait now. Raises DatabaseError."""
    with translated(), connect(conninfo, application_name=_NAME) as connection:
        return _waits(connection)


def _waits(connection: Connection[Any]) -> list[Wait]:
    return [Wait(*row) for row in execute(connection, "waiting_sessions")]


def lock_holder(connection: Connection[Any], *, folder_id: int, definition_id: int) -> str:
    """Who holds the lock of a definition, as the end of a sentence. Raises DatabaseError."""
    row = execute(connection, "run_lock_holder", folder_id=folder_id, definition_id=definition_id).fetchone()
    if row is None:
        return "it has just ended"
    pid, application, since, for_standby = row
    clauses = [f"PostgreSQL's process {pid} ({application})"]
    if since:
        clauses.append(f"since {since:%Y-%m-%d %H:%M:%S %Z}")
    if for_standby:
        clauses.append(f"which {_STANDBY}")
    return ", ".join(clauses)
