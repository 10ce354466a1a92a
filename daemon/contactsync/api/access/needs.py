"""What each route needs of a token, by the name of its function. A route that is not here is closed to tokens."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from contactsync.operations.access.rights import Right


class Target(Enum):
    """What a route concerns, and so how its scope is checked."""

    DAEMON = auto()
    """The daemon alone: no folder."""
    DEFINITION = auto()
    """The definition, folder, run or request in the path. To a token of another scope, it does not exist."""
    FOLDER = auto()
    RUN = auto()
    REQUEST = auto()
    FILTERED = auto()
    """Several folders: the route leaves out those of another scope, or checks what is in the body."""
    ALL = auto()
    """All folders at once: only for a token for everything."""
    SOCKET = auto()
    """Only over the control socket, for no token."""
    CONSOLE = auto()
    """Only for the process of the web console, in the name of nobody."""


class Need(NamedTuple):
    """A right, or None if any token will do, and what the route concerns."""

    right: Right | None
    target: Target


_READ, _SYNC, _EDIT, _DECIDE = Right.READ, Right.SYNC, Right.EDIT, Right.DECIDE

NEEDS = {
    "alive": Need(None, Target.DAEMON),
    "ready": Need(None, Target.DAEMON),
    "status": Need(_READ, Target.ALL),
    "export": Need(_READ, Target.ALL),
    "installation_status": Need(_READ, Target.ALL),
    "metrics": Need(_READ, Target.ALL),
    "settings": Need(_READ, Target.ALL),
    "fleet": Need(_READ, Target.ALL),
    # Lists and events
    "folders": Need(_READ, Target.FILTERED),
    "list_definitions": Need(_READ, Target.FILTERED),
    "resolve_name": Need(_READ, Target.FILTERED),
    "runs": Need(_READ, Target.FILTERED),
    "log_records": Need(_READ, Target.FILTERED),
    "audit": Need(_READ, Target.FILTERED),
    "events": Need(_READ, Target.FILTERED),
    # One folder, definition or run
    "contacts_anywhere": Need(_READ, Target.FILTERED),
    "contacts": Need(_READ, Target.FOLDER),
    "contact": Need(_READ, Target.FOLDER),
    "photo": Need(_READ, Target.FOLDER),
    "history": Need(_READ, Target.FOLDER),
    "definition": Need(_READ, Target.DEFINITION),
    "definition_edits": Need(_READ, Target.DEFINITION),
    "history_of_person": Need(_READ, Target.DEFINITION),
    "explain_person": Need(_READ, Target.DEFINITION),
    "preview_definition": Need(_READ, Target.DEFINITION),
    "one_run": Need(_READ, Target.RUN),
    "run_details": Need(_READ, Target.RUN),
    "rejected_entries": Need(_READ, Target.RUN),
    "trimmed_values": Need(_READ, Target.RUN),
    "plan_of_run": Need(_READ, Target.RUN),
    "undo_plan": Need(_READ, Target.RUN),
    # Runs
    "sync_all": Need(_SYNC, Target.FILTERED),
    "sync_definition": Need(_SYNC, Target.DEFINITION),
    "ticket": Need(_READ, Target.REQUEST),
    "cancel_ticket": Need(_SYNC, Target.REQUEST),
    # Edits, and settings that are not stored
    "add_definition": Need(_EDIT, Target.FILTERED),
    "edit_definition": Need(_EDIT, Target.DEFINITION),
    "remove_definition": Need(_EDIT, Target.DEFINITION),
    "set_password": Need(_EDIT, Target.DEFINITION),
    "clear_password": Need(_EDIT, Target.DEFINITION),
    "pause_definition": Need(_EDIT, Target.DEFINITION),
    "resume_definition": Need(_EDIT, Target.DEFINITION),
    "check_draft": Need(_EDIT, Target.FILTERED),
    "preview_draft": Need(_EDIT, Target.FILTERED),
    "browse_directory": Need(_EDIT, Target.FILTERED),
    # Decisions
    "approve_run": Need(_DECIDE, Target.RUN),
    "reject_run": Need(_DECIDE, Target.RUN),
    "undo_run": Need(_DECIDE, Target.RUN),
    "cancel_run": Need(_DECIDE, Target.RUN),
    "cancel_named": Need(_DECIDE, Target.FILTERED),
    "cancel_definition": Need(_DECIDE, Target.DEFINITION),
    # Administration
    "rename_by_name": Need(None, Target.SOCKET),
    "drain_fleet_node": Need(None, Target.SOCKET),
    "resume_fleet_node": Need(None, Target.SOCKET),
    "plan": Need(None, Target.SOCKET),
    "apply": Need(None, Target.SOCKET),
    "reload_settings": Need(None, Target.SOCKET),
    "tokens": Need(None, Target.SOCKET),
    "add_token": Need(None, Target.SOCKET),
    "revoke_token": Need(None, Target.SOCKET),
    "add_sign_in_code": Need(None, Target.SOCKET),
    "redeem_sign_in_code": Need(None, Target.CONSOLE),
}
