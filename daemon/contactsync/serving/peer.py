"""The process at the other end of a Unix socket: an actor of the API."""

from __future__ import annotations

import pwd
import socket
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from contactsync.errors import SettingsError

_UCRED = struct.Struct("3i")
"""struct ucred of unix(7): pid, uid, gid."""


class HasOptions(Protocol):
    """A socket, or asyncio's stand-in for one."""

    def getsockopt(self, level: int, option: int, length: int, /) -> bytes:
        """See socket.socket."""


@dataclass(slots=True)
class Peer:
    """A process, as the kernel recorded it when it connected; see contactsync.api.actor.Requester."""

    pid: int
    uid: int
    kind: str = "unix"

    @property
    def name(self) -> str:
        """The user's name, or `uid 1234` without an account. May ask the network: not for the event loop."""
        return _user_name(self.uid)


def uid_of(user: str, setting: str) -> int:
    """The number of the user with this name or number, which a setting has. Raises SettingsError."""
    if user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise SettingsError(
            f'There is no user "{user}", which {setting} names.',
            hint=f"Create it (useradd --system {user}) or name another.",
        ) from None


def peer_of(connection: HasOptions) -> Peer:
    """SO_PEERCRED of a connected Unix socket; on the client's side the process that listens."""
    pid, uid, _gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid)


@lru_cache(maxsize=256)
def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
