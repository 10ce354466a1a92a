"""A requested run, as the arguments of a job."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from contactsync.model import Trigger


@dataclass(frozen=True, slots=True)
class RunJob:
    """A requested run. `asked` is when a user asked for it, by PostgreSQL's clock; `restarts` counts ended nodes.

    `busy` counts attempts in which another process made a run of the definition. `only_by_hand`: no schedule, edit or
    change in the directory needs the run. `to` is the node that another one, which could not make the run, left it to.
    """

    definition_id: int
    trigger: Trigger
    asked: float | None = None
    restarts: int = 0
    busy: int = 0
    only_by_hand: bool = False
    to: str = ""

    def merged(self, earlier: RunJob) -> RunJob:
        """One run for both requests."""
        return replace(
            earlier,
            trigger=self.trigger.merged(earlier.trigger),
            asked=max((each for each in (earlier.asked, self.asked) if each is not None), default=None),
            only_by_hand=earlier.only_by_hand and self.only_by_hand,
        )

    @classmethod
    def of(cls, arguments: dict[str, Any]) -> RunJob:
        """The request, out of a job's arguments; a node of a newer release may have added some."""
        known = {each.name: arguments[each.name] for each in fields(cls) if each.name in arguments}
        return cls(**known | {"trigger": Trigger(arguments["trigger"])})

    def arguments(self) -> dict[str, Any]:
        """The arguments of a job."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "to" or self.to}
        return values | {"trigger": self.trigger.value}
