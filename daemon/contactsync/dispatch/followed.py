"""What the daemon keeps of each definition between its runs: a few hundred octets, since there may be 100,000."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from sys import intern
from typing import TYPE_CHECKING, Any, Self

from contactsync.dispatch.live.sharing import listener_key
from contactsync.dispatch.live.status import AUTO, LIVE
from contactsync.errors import ScheduleError
from contactsync.model import Definition, NamedDefinition
from contactsync.schedule import parse_schedule

if TYPE_CHECKING:
    from contactsync.schedule import Timetable
    from contactsync.sync.definition import Resolved

MOST_AT_ONCE = 1000
"""The most definitions that are read, or scheduled, at once."""

_NOT_CONTENT = {"folder", "owner", "name", "schedule", "time_zone", "jitter_seconds", "revision"}
_CONTENT = tuple(each.name for each in fields(Definition) if each.name not in _NOT_CONTENT)
_COMMON = (*(each.name for each in fields(NamedDefinition)), "enabled", "revision")


@dataclass(frozen=True, slots=True)
class Times:
    """The fields that decide when a definition runs; they are valid, and not `manual`."""

    schedule: str
    time_zone: str
    jitter_seconds: int

    def timetable(self, definition_id: int) -> Timetable:
        """The fire times of a definition. Raises ScheduleError."""
        timetable = parse_schedule(self.schedule, self.time_zone, self.jitter_seconds, seed=str(definition_id))
        if timetable is None:
            raise ScheduleError("The schedule has no fire times.")
        return timetable


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed(NamedDefinition):
    """A definition that the scheduler knows. `reason` says why it is not valid; None if it is.

    `locked` is the reason why it runs on individual request only: the directory refused its user or password. `content`
    is a digest of the fields that change its contacts; 0 if this daemon does not lead. `times` is None without a
    schedule. `listener` is the key of contactsync.dispatch.live.sharing; None if the mode is neither live nor auto.
    """

    enabled: bool
    revision: int
    reason: str | None = None
    locked: str | None = None
    content: int = 0
    times: Times | None = None
    server: str = ""
    mode: str = ""
    listener: str | None = None

    @classmethod
    def valid(cls, resolved: Resolved, *, content: int = 0) -> Self:
        """Of a definition that is valid."""
        definition = resolved.definition
        return cls(
            **_common(definition),
            content=content,
            times=resolved.trigger and _times(definition.schedule, definition.time_zone, definition.jitter_seconds),
            server=intern(resolved.server_key),
            mode=definition.mode,
            listener=intern(listener_key(resolved)) if definition.mode in {LIVE, AUTO} else None,
        )

    @classmethod
    def invalid(cls, definition: Definition, reason: str) -> Self:
        """Of a definition that is not valid."""
        return cls(**_common(definition), reason=reason)

    @property
    def may_run(self) -> bool:
        """Whether it is valid and not paused."""
        return self.enabled and self.reason is None

    @property
    def runs_at(self) -> Times | None:
        """When it runs; None if its schedule does not run it."""
        return self.times if self.may_run and not self.locked else None


def content_of(definition: Definition) -> int:
    """Digest of the fields that change its contacts."""
    values = repr([getattr(definition, name) for name in _CONTENT]).encode()
    return int.from_bytes(blake2b(values, digest_size=8).digest())


def batches(ids: Iterable[int]) -> Iterator[list[int]]:
    """These ids, as many at once as are read at once."""
    rest = iter(ids)
    while batch := list(islice(rest, MOST_AT_ONCE)):
        yield batch


def _common(definition: Definition) -> dict[str, Any]:
    return {name: getattr(definition, name) for name in _COMMON}


_times = lru_cache(maxsize=4096)(Times)
"""One object for all definitions with the same schedule."""
