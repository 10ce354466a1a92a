"""Keeps bound connections for a moment, for the next run that asks the same server as the same user.

To connect, to protect the connection, to bind and to read the root DSE cost more than to read a small folder.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from contactsync.errors import DirectoryError
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.failover import Outages
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.ldap.connection.session import Session, connect
from contactsync.ldap.query.query import ServerAddress
from contactsync.ldap.rootdse import read_root_dse
from contactsync.model import Auth, Tls

KEEP_SECONDS = 30.0
"""How long a connection is kept for the next run: through a round, and not until a firewall or the server ends it."""
LONGEST_SECONDS = 300.0
"""How old a connection may get: the directory is to say now and then whether it still knows user and password."""
_TRUSTED_SECONDS = 1.0
"""How long a connection may have lain idle and is still used without asking the server whether it is alive."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What two runs have to have in common to use one connection; what is in files counts, not only their names."""

    servers: tuple[ServerAddress, ...]
    drawn: bool
    user: str | None
    password_digest: bytes
    auth: Auth
    tls: Tls
    trust: TlsOptions
    files_digest: bytes


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """An open connection and what closes it; the times are those of the monotonic clock."""

    key: _Key
    session: Session
    closing: ExitStack
    made_at: float
    idle_since: float = 0.0

    @property
    def server(self) -> str:
        return _server(self.key.servers)

    def outlasts(self, now: float) -> bool:
        return now < min(self.idle_since + KEEP_SECONDS, self.made_at + LONGEST_SECONDS)


class SessionCache:
    """Idle connections, none of which two runs ever use at once; threads may share it.

    There are at most `most` of them, and no more to one server than `per_server` leaves beside those in use. Nobody
    gets one that was made with another user, password or TLS policy. It remembers which servers could not be used.
    """

    def __init__(self, *, per_server: int, most: int) -> None:
        self._per_server = per_server
        self._most = most
        self._secret = os.urandom(32)
        self._guard = threading.Lock()
        self._idle: list[_Kept] = []
        self._in_use: Counter[str] = Counter()
        self._closed = False
        self._outages = Outages()

    @contextmanager
    def connect(self, options: ConnectOptions, deadline: Deadline) -> Iterator[Session]:
        """As contactsync.ldap.connection.session.connect, over a connection that is there already or a new one.

        It is kept when the block ends without an error, which must mean that every answer was read to its end.
        """
        key = self._key(options)
        with self._counted(_server(key.servers)):
            kept = self._living(key, options, deadline) or self._new(key, options, deadline)
            with _closed_on_failure(kept):
                yield kept.session
        self._keep(kept)

    def close_idle(self) -> None:
        """Close what nobody used for a while; to be called now and then."""
        now = time.monotonic()
        with self._guard:
            over = [kept for kept in self._idle if not kept.outlasts(now)]
            self._drop(over)
        _close(over)

    def close(self) -> None:
        """Close all, and from now on each when its run has ended."""
        with self._guard:
            self._closed = True
            over, self._idle = self._idle, []
        _close(over)

    def _key(self, options: ConnectOptions) -> _Key:
        return _Key(
            servers=tuple(sorted(options.servers, key=str)) if options.drawn else options.servers,
            drawn=options.drawn,
            user=options.user,
            password_digest=self._digest((options.password or "").encode(errors="surrogatepass")),
            auth=options.auth,
            tls=options.tls,
            trust=options.trust,
            files_digest=self._digest_of_files(options.trust),
        )

    def _digest(self, octets: bytes) -> bytes:
        return blake2b(octets, digest_size=32, key=self._secret).digest()

    def _digest_of_files(self, trust: TlsOptions) -> bytes:
        """Stands for what is in them now; each first by itself, so that nothing can move from one into another."""
        return self._digest(b"".join(self._digest(_content(file)) for file in trust.files))

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

    def _living(self, key: _Key, options: ConnectOptions, deadline: Deadline) -> _Kept | None:
        """Of the connections with this key the one that was used last and is alive; those that are dead are closed."""
        while (kept := self._take(key)) is not None:
            with _closed_on_failure(kept):
                kept.session.wire.limits = ReadLimits(deadline, options.connect_timeout)
                living = _asked(kept)
            if living is not None:
                return living
            kept.closing.close()
        return None

    def _take(self, key: _Key) -> _Kept | None:
        with self._guard:
            kept = next((kept for kept in reversed(self._idle) if kept.key == key), None)
            self._drop([kept] if kept else [])
        return kept

    def _new(self, key: _Key, options: ConnectOptions, deadline: Deadline) -> _Kept:
        """A connection of its own, in the place of an idle one when there are enough to its server."""
        with self._guard:
            over = self._surplus(_server(key.servers))
            self._drop(over)
        _close(over)
        closing = ExitStack()
        session = closing.enter_context(connect(options, deadline, self._outages))
        return _Kept(key, session, closing, time.monotonic())

    def _keep(self, used: _Kept) -> None:
        kept = replace(used, idle_since=time.monotonic())
        with self._guard:
            if self._closed or not kept.outlasts(kept.idle_since) or not kept.session.wire.idle:
                over = [kept]
            else:
                self._idle.append(kept)
                over = self._surplus(kept.server) or self._idle[: -self._most]
                self._drop(over)
        _close(over)

    def _surplus(self, server: str) -> list[_Kept]:
        """The idle connections to a server, the oldest first, that are too many beside those in use."""
        idle = [kept for kept in self._idle if kept.server == server]
        return idle[: max(0, len(idle) + self._in_use[server] - self._per_server)]

    def _drop(self, over: list[_Kept]) -> None:
        self._idle = [kept for kept in self._idle if kept not in over]


def _server(servers: tuple[ServerAddress, ...]) -> str:
    """The one that is tried first, which stands for all."""
    return servers[0].netloc if servers else ""


@contextmanager
def _closed_on_failure(kept: _Kept) -> Iterator[None]:
    with ExitStack() as on_failure:
        on_failure.push(kept.closing)
        yield
        on_failure.pop_all()


def _asked(kept: _Kept) -> _Kept | None:
    """The connection if it is alive, with the root DSE of now if it lay idle for long; None if it is not."""
    session = kept.session
    now = time.monotonic()
    if not kept.outlasts(now) or not session.wire.idle:
        return None
    if now < kept.idle_since + _TRUSTED_SECONDS:
        return kept
    try:
        return replace(kept, session=replace(session, root_dse=read_root_dse(session.wire)))
    except DirectoryError:
        return None


def _close(over: Iterable[_Kept]) -> None:
    for kept in over:
        kept.closing.close()


def _content(file: str | None) -> bytes:
    """What is in a file; one that cannot be read is refused when a connection is made."""
    try:
        return b"" if file is None else Path(file).read_bytes()
    except OSError:
        return b""
