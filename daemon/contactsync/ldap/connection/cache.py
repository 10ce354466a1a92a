"""Keeps bound connections for the next run that uses the same server as the same user.

To connect, start TLS, bind and read the root DSE costs more than to read a small folder.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from contactsync.errors import DirectoryError
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.failover import Outages
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.options import ConnectOptions
from contactsync.ldap.connection.session import Session, connect
from contactsync.ldap.rootdse import read_root_dse

KEEP_SECONDS = 30.0
"""How long an idle connection is kept: shorter than the idle timeout of firewalls and servers."""
LONGEST_SECONDS = 300.0
"""The maximum age of a connection, so that the directory checks user and password now and then."""
_TRUSTED_SECONDS = 1.0
"""How long a connection may be idle and is used again without a request to test it."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What must be equal for a connection to be used again: the options, the password and the contents of files."""

    options: ConnectOptions
    secrets: bytes

    @property
    def server(self) -> str:
        """The first server, to count connections by."""
        return self.options.servers[0].netloc if self.options.servers else ""


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    """An open connection and what closes it. Times are those of the monotonic clock."""

    key: _Key
    session: Session
    closing: ExitStack
    opened_at: float
    idle_since: float = 0.0

    def expired(self, now: float) -> bool:
        return now >= min(self.idle_since + KEEP_SECONDS, self.opened_at + LONGEST_SECONDS)


class SessionCache:
    """A pool of idle connections and the servers that failed lately. Thread-safe.

    It holds at most `most` connections. To one server there are at most `per_server`, those in use included.
    """

    def __init__(self, *, per_server: int, most: int) -> None:
        self._per_server = per_server
        self._most = most
        self._secret = os.urandom(32)
        self._guard = threading.Lock()
        self._idle: list[_Open] = []
        self._in_use: Counter[str] = Counter()
        self._closed = False
        self._outages = Outages()

    @contextmanager
    def connect(self, options: ConnectOptions, deadline: Deadline) -> Iterator[Session]:
        """The same as contactsync.ldap.connection.session.connect, over an idle connection or a new one.

        The connection is kept if the block ends without an error; every response must have been read by then.
        """
        key = self._key(options)
        with self._counted(key.server):
            used = self._reuse(key, options, deadline) or self._open(key, options, deadline)
            with _closed_on_failure(used):
                yield used.session
        self._keep(used)

    def close_idle(self) -> None:
        """Close the connections that have been idle for too long; to be called periodically."""
        now = time.monotonic()
        with self._guard:
            expired = [idle for idle in self._idle if idle.expired(now)]
            self._remove(expired)
        _close(expired)

    def close(self) -> None:
        """Close all idle connections now, and those in use at the end of their run."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        _close(idle)

    def _key(self, options: ConnectOptions) -> _Key:
        servers = tuple(sorted(options.servers, key=str)) if options.drawn else options.servers
        secrets = [(options.password or "").encode(errors="surrogatepass"), *map(_content, options.trust.files)]
        # Each has a digest of its own, so that octets cannot move from one to the next unnoticed.
        digest = self._digest(b"".join(map(self._digest, secrets)))
        return _Key(replace(options, servers=servers, password=None, logon=nullcontext), digest)

    def _digest(self, octets: bytes) -> bytes:
        return blake2b(octets, digest_size=32, key=self._secret).digest()

    @contextmanager
    def _counted(self, server: str) -> Iterator[None]:
        with self._guard:
            self._in_use[server] += 1
        try:
            yield
        finally:
            with self._guard:
                self._in_use[server] -= 1
                if not self._in_use[server]:
                    del self._in_use[server]

    def _reuse(self, key: _Key, options: ConnectOptions, deadline: Deadline) -> _Open | None:
        """The connection with this key that was used last and is alive; dead ones are closed."""
        while (idle := self._pop(key)) is not None:
            with _closed_on_failure(idle):
                idle.session.wire.limits = ReadLimits(deadline, options.connect_timeout)
                alive = _tested(idle)
            if alive is not None:
                return alive
            idle.closing.close()
        return None

    def _pop(self, key: _Key) -> _Open | None:
        with self._guard:
            match = next((idle for idle in reversed(self._idle) if idle.key == key), None)
            if match:
                self._remove([match])
        return match

    def _open(self, key: _Key, options: ConnectOptions, deadline: Deadline) -> _Open:
        """A new connection; an idle one is closed for it if there are too many to its server."""
        with self._guard:
            surplus = self._surplus(key.server)
            self._remove(surplus)
        _close(surplus)
        closing = ExitStack()
        session = closing.enter_context(connect(options, deadline, self._outages))
        return _Open(key, session, closing, time.monotonic())

    def _keep(self, used: _Open) -> None:
        idle = replace(used, idle_since=time.monotonic())
        with self._guard:
            if self._closed or idle.expired(idle.idle_since) or not idle.session.wire.idle:
                surplus = [idle]
            else:
                self._idle.append(idle)
                surplus = self._surplus(idle.key.server) or self._idle[: -self._most]
                self._remove(surplus)
        _close(surplus)

    def _surplus(self, server: str) -> list[_Open]:
        """The idle connections to a server, oldest first, that exceed `per_server` beside those in use."""
        idle = [one for one in self._idle if one.key.server == server]
        return idle[: max(0, len(idle) + self._in_use[server] - self._per_server)]

    def _remove(self, connections: list[_Open]) -> None:
        self._idle = [idle for idle in self._idle if idle not in connections]


@contextmanager
def _closed_on_failure(connection: _Open) -> Iterator[None]:
    with ExitStack() as on_failure:
        on_failure.push(connection.closing)
        yield
        on_failure.pop_all()


def _tested(idle: _Open) -> _Open | None:
    """The connection if it is alive, with a fresh root DSE if it was idle for long; else None."""
    now = time.monotonic()
    if idle.expired(now) or not idle.session.wire.idle:
        return None
    if now < idle.idle_since + _TRUSTED_SECONDS:
        return idle
    try:
        return replace(idle, session=replace(idle.session, root_dse=read_root_dse(idle.session.wire)))
    except DirectoryError:
        return None


def _close(connections: Iterable[_Open]) -> None:
    for connection in connections:
        connection.closing.close()


def _content(file: str | None) -> bytes:
    """Empty for an unreadable file, which `connect` reports."""
    try:
        return b"" if file is None else Path(file).read_bytes()
    except OSError:
        return b""
