"""Which folders are to follow their directory at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nsmallest

from contactsync.dispatch.live.status import AUTO, LIVE
from contactsync.sync.definition import Resolved


@dataclass(frozen=True, slots=True)
class Choice:
    """Those that are to be listened for, and the ids of those of mode auto that are too many for their server."""

    chosen: list[Resolved] = field(default_factory=list)
    beyond: frozenset[int] = frozenset()


def choose(definitions: Iterable[Resolved], *, auto: int) -> Choice:
    """Everything of mode live, and of mode auto so many for each server as are run by a schedule: the oldest."""
    chosen: list[Resolved] = []
    of_server: dict[str, dict[int, Resolved]] = {}
    for resolved in definitions:
        definition = resolved.definition
        if definition.mode == LIVE:
            chosen.append(resolved)
        elif definition.mode == AUTO and resolved.trigger is not None:
            of_server.setdefault(resolved.server_key, {})[definition.definition_id] = resolved
    beyond: set[int] = set()
    for those in of_server.values():
        oldest = nsmallest(auto, those)
        chosen += [those[number] for number in oldest]
        beyond |= those.keys() - set(oldest)
    return Choice(chosen, frozenset(beyond))
