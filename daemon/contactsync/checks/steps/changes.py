"""The step "changes": whether runs may ask only for what changed, and whether the directory says when that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.checks.result import Status, StepResult
from contactsync.dispatch.live.status import AUTO, LIVE
from contactsync.ldap.changes.notifications import protocol_of
from contactsync.ldap.search import SearchRequest
from contactsync.sync.incremental import AT_ONCE, FULL, changes_for

if TYPE_CHECKING:
    from contactsync.checks.context import CheckContext

_SECONDS_OF_AN_HOUR = 3600


def check_changes(checkup: CheckContext) -> StepResult:
    """Say what the mode comes to on this server for this user, and why not to more. Raises DirectoryError."""
    mode = checkup.definition.mode
    source = checkup.asked
    request = SearchRequest(source.base, source.scope, source.filter, source.attributes, checkup.options.page_size)
    checkup.bound.wire.limits = checkup.read_limits()
    changes = changes_for(checkup.bound, request, source.mapping.identity)
    obstacle = changes.obstacle()
    increments = obstacle is None and changes.reports_entries
    listens = protocol_of(checkup.root_dse) is not None
    counters = obstacle is None and not increments
    data = {"mode": mode, "increments": increments, "counters": counters, "obstacle": obstacle, "live": listens}
    if mode == FULL:
        return StepResult(
            status=Status.OK, text="Every run reads everything: the definition's mode is full.", data=data
        )
    hours = checkup.options.full_seconds / _SECONDS_OF_AN_HOUR
    if obstacle:
        text = f"Every run reads everything: {obstacle}."
    elif counters:
        text = f"Runs read everything, or nothing while the server counts no change, for {hours:g} hours at most."
    elif mode in AT_ONCE:
        text = f"Runs ask only for what changed since the last one; every {hours:g} hours one reads everything."
    else:
        text = f"Runs of a large folder ask only for what changed; every {hours:g} hours one reads everything."
    if mode == AUTO:
        text = f"{text} {_of_auto(checkup, told=increments, listens=listens)}"
    if mode == LIVE and not listens:
        return StepResult(
            status=Status.WARNING,
            text=f"{text} The server tells nobody when something changes.",
            hint="The folder goes by its schedule. Set --mode auto.",
            data=data,
        )
    if mode in AT_ONCE and obstacle:
        hint = "That is right, and slower. Mend what is in the way, or set --mode auto."
        return StepResult(status=Status.WARNING, text=text, hint=hint, data=data)
    return StepResult(status=Status.OK, text=text, data=data)


def _of_auto(checkup: CheckContext, *, told: bool, listens: bool) -> str:
    """Whether the daemon follows a folder of mode auto at once, and why not."""
    if not listens:
        return "The folder goes by its schedule: the server tells nobody when something changes."
    if not told:
        return "The folder goes by its schedule; --mode live follows at once, with a full run each time."
    if checkup.known.trigger is None:
        return "Nothing runs by itself, since the folder has no schedule; --mode live follows the directory at once."
    most = checkup.options.auto_live_folders
    if not most:
        return "The folder goes by its schedule: auto_live_folders is 0; --mode live follows at once all the same."
    return (
        f"The daemon follows the directory at once if the folder is among the {most:,} of its server that were defined"
        " first (auto_live_folders); with --mode live in any case."
    )
