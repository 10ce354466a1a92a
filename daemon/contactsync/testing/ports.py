"""TCP ports that nothing else on this machine gets while a private server uses them, is down or starts again."""

from __future__ import annotations

import socket
import weakref

LOOPBACK = "127.0.0.1"


class ReservedPort:
    """One port of `address`, reserved until `release` or this object's end.

    It holds a bound socket that does not listen. A server that sets SO_REUSEADDR can bind the port too and listen on
    it. Until then, and after its end, connections are refused. Raises OSError if `number` is in use; 0 is any free one.
    """

    def __init__(self, number: int = 0, *, address: str = LOOPBACK) -> None:
        holder = socket.socket()
        self.release = weakref.finalize(self, holder.close)
        holder.bind((address, number))
        # Only after bind(): set before, it would share the port with another reservation.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.number: int = holder.getsockname()[1]
