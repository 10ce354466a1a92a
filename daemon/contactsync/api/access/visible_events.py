"""The events that a client may have, and how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.errors import DatabaseError

if TYPE_CHECKING:
    from contactsync.dispatch.scheduler import Schedule
    from contactsync.operations.access.rights import Access


class VisibleEvents:
    """Whether a definition is in the scope, or was until it was removed. It never waits: the event loop calls it."""

    def __init__(self, access: Access, schedule: Schedule) -> None:
        self._access = access
        self._schedule = schedule
        self._visible = {each.definition_id for each in schedule.followed if access.covers(each)}

    def __call__(self, definition_id: int) -> bool:
        """See contactsync.api.watching.Wants."""
        definition = self._schedule.definition(definition_id)
        if definition is None:
            return definition_id in self._visible
        visible = self._access.covers(definition)
        (self._visible.add if visible else self._visible.discard)(definition_id)
        return visible


async def still_valid(actor: Any) -> bool:
    """Whether the actor may go on to receive events: a token may have been revoked, or have expired."""
    if actor.kind in {"unix", "web"}:  # the console ends its own sessions
        return True
    try:
        return bool(await actor.still_valid())
    except DatabaseError:
        return False
