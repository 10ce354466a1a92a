"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import pwd
import socket
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

_UCRED = struct.Struct("3i")
"""struct ucred of unix(7): pid, uid, gid."""


class HasOptions(Protocol):
    """A socket, or what asyncio hands out in its place."""

    def getsockopt(self, level: int, option: int, length: int, /) -> bytes:
        """As of socket.socket."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that connected, as the kernel noted it at that moment."""

    pid: int
    uid: int
    gid: int


def peer_of(connection: HasOptions) -> Peer:
    """SO_PEERCRED of a connected Unix socket; of one that connected itself, the process that listens."""
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid, gid)


@lru_cache(maxsize=256)
def user_name(uid: int) -> str | None:
    """The user's name; None for a user without an account. May ask the network, so not for the event loop."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
