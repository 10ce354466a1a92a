"""How a node becomes a member of the fleet, or again after others have ended it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from contactsync import __version__
from contactsync.errors import NodeClockDiffers, NodeKeyDiffers, NodeNameTaken
from contactsync.fleet.identity import DEAD_SECONDS, NodeIdentity
from contactsync.store.migration import schema_level
from contactsync.store.record.fleet import DeadNode, namesake
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from psycopg import Connection

_JOIN_SECONDS = DEAD_SECONDS + 6
_POLL_SECONDS = 0.5
_CLOCK_SECONDS = 60.0
"""The greatest difference of clocks with which a node may join."""


def join_fleet(
    connection: Connection[Any],
    identity: NodeIdentity,
    key_id: str,
    settle: Callable[[DeadNode], None],
    stopping: threading.Event,
) -> int:
    """Join under a new id, which is returned, and hold its lock. `settle` ends a dead node of the same name.

    Raises NodeNameTaken, NodeKeyDiffers, DatabaseError.
    """
    end = time.monotonic() + _JOIN_SECONDS
    while other := namesake(connection, identity.name, DEAD_SECONDS):
        if other.token == identity.token:  # this process, whose session was lost
            execute(connection, "leave_fleet", node_id=other.node_id)
            continue
        if not other.alive:
            settle(other)
            continue
        if time.monotonic() > end:
            raise NodeNameTaken(
                f"Another daemon in the fleet has the name {identity.name}.",
                hint="Give each node a name of its own: [fleet] name in settings.toml.",
            )
        stopping.wait(_POLL_SECONDS)
    _require_same_key(connection, key_id)
    with connection.transaction():
        values = {
            "name": identity.name,
            "token": identity.token,
            "version": __version__,
            "schema_level": schema_level(),
            "key_id": key_id,
        }
        row = execute(connection, "join_fleet", **values).fetchone()
    return int(row[0]) if row else 0


def require_time(connection: Connection[Any]) -> None:
    """Raise NodeClockDiffers if the clock of this machine is not that of PostgreSQL."""
    before = time.time()
    row = execute(connection, "database_time").fetchone()
    difference = (before + time.time()) / 2 - (row[0] if row else 0.0)
    if abs(difference) > _CLOCK_SECONDS:
        raise NodeClockDiffers(
            f"The clock of this machine is {abs(difference):,.0f} s {'ahead of' if difference > 0 else 'behind'}"
            " PostgreSQL's, so that schedules would run at other times than on the other nodes.",
            hint="Let a time server set the clocks of all machines, and start the daemon again.",
        )


def _require_same_key(connection: Connection[Any], key_id: str) -> None:
    others = execute(connection, "other_keys", key_id=key_id, dead_seconds=DEAD_SECONDS).fetchall()
    if others:
        names = ", ".join(name for (name,) in others)
        raise NodeKeyDiffers(
            f"The key for passwords is not that of the other nodes ({names}), whose passwords it could not open.",
            hint="Run `contactsync secrets key export` on one of them, and `contactsync secrets key import` here.",
        )
