"""The steps "changes" and "deleted_objects": which changes the directory reports to this user, and how."""

from __future__ import annotations

from contactsync.checks.context import CheckContext
from contactsync.checks.result import StepResult, ok, skipped, warning
from contactsync.checks.searches import Search, ask
from contactsync.dispatch.live.status import AUTO, LIVE
from contactsync.errors import DirectoryError
from contactsync.ldap.changes.notifications import protocol_of
from contactsync.ldap.protocol.requests import SHOW_DELETED, paging_control
from contactsync.ldap.query.query import Scope
from contactsync.ldap.search import SearchRequest
from contactsync.sync.incremental import FULL, INCREMENTAL_MODES, changes_for

_HOUR_SECONDS = 3600
_FEW = 5


def check_changes(context: CheckContext) -> StepResult:
    """Show what the definition's mode means on this server for this user. Raises DirectoryError."""
    mode, source = context.definition.mode, context.source
    page_size = context.options.page_size_of(context.definition)
    request = SearchRequest(source.base, source.scope, source.filter, source.attributes, page_size)
    context.session.wire.limits = context.read_limits()
    changes = changes_for(context.session, request, source.mapping.identity)
    obstacle = changes.obstacle()
    increments = obstacle is None and changes.reports_entries
    reports = protocol_of(context.root_dse) is not None
    counters = obstacle is None and not increments
    data = {"mode": mode, "increments": increments, "counters": counters, "obstacle": obstacle, "live": reports}
    if mode == FULL:
        return ok("Every run is full, because the definition's mode is full.", data)
    hours = f"{context.options.full_seconds / _HOUR_SECONDS:g} hours"
    if obstacle:
        text = f"Every run is full: {obstacle}."
    elif counters:
        text = f"A run reads nothing while the server counts no change, for at most {hours}. Any other run is full."
    elif mode in INCREMENTAL_MODES:
        text = f"Runs read only changes. Every {hours} a run is full."
    else:
        text = f"Runs of a large folder read only changes. Every {hours} a run is full."
    if mode == AUTO:
        text += f" {_auto_mode(context, increments=increments, reports=reports)}"
    if mode == LIVE and not reports:
        hint = "The folder runs by its schedule. Set --mode auto."
        return warning(f"{text} The server does not report changes.", hint, data)
    if mode in INCREMENTAL_MODES and obstacle:
        return warning(text, "The runs are correct, but slower. Remove the obstacle, or set --mode auto.", data)
    return ok(text, data)


def _auto_mode(context: CheckContext, *, increments: bool, reports: bool) -> str:
    """Whether the daemon follows a folder of mode auto live, or why not."""
    if not reports:
        return "The folder runs by its schedule, because the server does not report changes."
    if not increments:
        return "The folder runs by its schedule. With --mode live it runs at each change, with a full run each time."
    if context.resolved.trigger is None:
        return "The folder has no schedule and does not run automatically. With --mode live it runs at each change."
    limit = context.options.auto_live_folders
    if not limit:
        return "The folder runs by its schedule (auto_live_folders is 0). With --mode live it runs at each change."
    return (
        f"The folder runs at each change if it is one of the {limit:,} oldest of its server (auto_live_folders)."
        " With --mode live it always does."
    )


def check_deleted_objects(context: CheckContext) -> StepResult:
    """Request a few deleted objects from Active Directory; runs do not need them."""
    root_dse = context.root_dse
    if not root_dse.is_active_directory:
        return skipped("Only Active Directory has a container of deleted objects.")
    naming_context = root_dse.default_naming_context
    if naming_context is None or SHOW_DELETED not in root_dse.supported_controls:
        return skipped("The server does not offer to show deleted objects.")
    container = f"CN=Deleted Objects,{naming_context}"
    search, control = Search(container, Scope.ONE, "(isDeleted=TRUE)"), paging_control(_FEW, b"", deleted=True)
    try:
        answer = ask(context.session, search, context.read_limits(), controls=control, decode=False)
    except DirectoryError as error:
        return _unreadable(container, error.message)
    if not answer.number:
        # Samba shows everyone the container, but only privileged users what is in it.
        return _unreadable(container, f"This user sees no objects in {container}.")
    return ok(f"This user can read {container}.", {"readable": True, "container": container})


def _unreadable(container: str, text: str) -> StepResult:
    hint = (
        "Runs do not need them: they find deletions by comparison."
        " To grant access, run dsacls on the container (list and read for this user)."
    )
    return warning(text, hint, {"readable": False, "container": container})
